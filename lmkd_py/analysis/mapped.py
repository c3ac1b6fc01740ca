"""The bytes of a trace file: mapped, so that a long trace is not held in memory."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from ..wire.local_files import open_regular

# A mapping holds a file descriptor, and a steward that was started often leaves many short files: those are read.
READ_BYTES = 256 << 10
STEP_BYTES = 4 << 20  # of pages that a walk touches before it gives them back

Data = bytes | mmap.mmap


def bytes_of(path: Path) -> tuple[Data, tuple[int, int]]:
    """The contents of a regular file, read-only, and its device and inode. OSError from the file system."""
    with open(open_regular(str(path)), "rb") as file:
        while True:
            found = os.fstat(file.fileno())
            size, inode = found.st_size, (found.st_dev, found.st_ino)
            if size < READ_BYTES:
                return file.read(size), inode
            try:
                return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), inode
            except ValueError:  # a steward cut off a torn end meanwhile: it is shorter now
                continue


class Walk:
    """A walk through a file from its start to its end, which gives back the pages it has left.

    They count as memory of the process until then. Whoever reads them again gets them from the file again.
    """

    def __init__(self, data: Data, at: int = 0) -> None:
        self._data = data
        self._begin = at - at % mmap.PAGESIZE
        self._at = at

    def passed(self, at: int) -> None:
        """What lies before offset `at` has been seen."""
        if at - self._at >= STEP_BYTES:
            self.end(at)

    def end(self, at: int) -> None:
        """As passed(), and at once: the walk ends, or goes on from here."""
        if isinstance(self._data, mmap.mmap) and at > self._at:
            # From the start each time: the kernel maps pages around the one that is touched, also some behind it.
            self._data.madvise(mmap.MADV_DONTNEED, self._begin, at - self._begin)
            self._at = at
