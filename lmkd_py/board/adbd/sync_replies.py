"""What sync answers, gathered into few messages."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterable

from .files import RootedFiles

_STAT1 = struct.Struct("<3I")
_STAT2 = struct.Struct("<IQQIIIIQqqq")
_FRAME = struct.Struct("<4sI")
_MASK = 0xFFFFFFFF
_HUGE = 0xFFFFFFF0
Entry = tuple[bytes, os.stat_result]


def _stat2(error: int, found: os.stat_result) -> bytes:
    return _STAT2.pack(
        error,
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        found.st_size,
        int(found.st_atime),
        int(found.st_mtime),
        int(found.st_ctime),
    )


class Replies:
    """Bytes for the client, in order. `hostile` is a kind of hostile.KINDS or empty."""

    def __init__(self, hostile: str = "") -> None:
        self.hostile = hostile
        self._parts: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def is_endless(self) -> bool:
        """Whether this device sends a file that never ends."""
        return self.hostile == "endless-data"

    def _add(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)

    def take(self) -> bytes:
        """All that was gathered; empty afterwards."""
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return data

    def _size_of(self, found: os.stat_result) -> int:
        return 10 if self.hostile == "lying-size" else found.st_size

    def stat(self, name: bytes, files: RootedFiles, path: bytes) -> None:
        """STAT (lstat, 32 bits, zeros where there is nothing), STA2 (stat) or LST2 (lstat)."""
        if self.hostile == "bad-id":
            name = b"WHAT"
        try:
            found = files.stat(path, follow=name == b"STA2")
        except OSError as error:
            if name == b"STAT":
                self._add(name + bytes(_STAT1.size))
            else:
                self._add(name + _STAT2.pack(error.errno or 0, *[0] * 10))
            return
        if name == b"STAT":
            self._add(name + _STAT1.pack(found.st_mode, self._size_of(found) & _MASK, int(found.st_mtime) & _MASK))
        else:
            self._add(name + _stat2(0, found))

    def disguised(self, entries: list[Entry]) -> Iterable[Entry]:
        """The entries of a directory, or what a liar makes of them."""
        if self.hostile == "climbing-names" and entries:
            found = entries[-1][1]
            names = (
                b"../../climbed",
                b"/climbed",
                b"a/../../climbed",
                b"new\nline",
                b"",
                b"..",
                b"$(id)",
                b"zero\0end",
            )
            return [(name, found) for name in names]
        if self.hostile == "endless-list" and entries:
            return ((b"entry%d" % number, entries[-1][1]) for number in itertools.count())
        return entries

    def entry(self, request: bytes, name: bytes, found: os.stat_result) -> None:
        """One directory entry, for LIST or LIS2."""
        length = _HUGE if self.hostile == "huge-name" else len(name)
        if request == b"LIST":
            head = _STAT1.pack(found.st_mode, self._size_of(found) & _MASK, int(found.st_mtime) & _MASK)
            self._add(b"DENT" + head + struct.pack("<I", length) + name)
        else:
            self._add(b"DNT2" + _stat2(0, found) + struct.pack("<I", length) + name)

    def list_end(self, request: bytes) -> None:
        """The end of the names: an entry of zeros."""
        self._add(b"DONE" + bytes(16 if request == b"LIST" else _STAT2.size + 4))

    def data(self, data: bytes) -> None:
        """DATA: a piece of a file."""
        length = _HUGE if self.hostile == "huge-data" else len(data)
        name = b"WHAT" if self.hostile == "bad-id" else b"DATA"
        self._add(_FRAME.pack(name, length) + data)
        if self.is_endless:
            self._add(_FRAME.pack(name, 1 << 16) + bytes(1 << 16))

    def done(self) -> None:
        """DONE: the end of a file or listing."""
        if self.hostile == "lying-size":
            self.data(b"more than was said" * 1000)
        self._add(_FRAME.pack(b"DONE", 0))

    def okay(self) -> None:
        """OKAY: the file has arrived."""
        self._add(_FRAME.pack(b"OKAY", 0))

    def fail(self, reason: str) -> None:
        data = reason.encode()
        self._add(_FRAME.pack(b"FAIL", _HUGE if self.hostile == "huge-fail" else len(data)) + data)
