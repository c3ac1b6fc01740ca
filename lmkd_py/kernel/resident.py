"""Make what is present resident for good, without paying for what was never touched.

mlockall(MCL_CURRENT | MCL_FUTURE) would fill every mapping, also the empty tails of heaps, stacks and libraries
(about 4 MB of a Python process). Instead: lock on fault, break copy-on-write for every private page that exists, and
fill the program text, whichever branch of it may run one day.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from .libc import function, oserror
from .memory import MADV_POPULATE_WRITE, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, madvise, mlockall

PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT = 1 << 63  # Documentation/admin-guide/mm/pagemap.rst
TEXT_NEEDED = (b"python", b"libc.so", b"libc-", b"_ctypes", b"libffi", b"ld-", b"libm.so", b"linker", b"bionic")

_mlock = function("mlock", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


def make_resident() -> int:
    """Lock and populate; returns the bytes populated. Raises OSError where locking is refused."""
    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
    populated = 0
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end, rights, name in _mappings():
            if rights[:2] == b"rw" and not name.startswith(b"[v"):
                populated += _unshare_present(pagemap, start, end)
            elif rights[2:3] == b"x" and any(part in os.path.basename(name) for part in TEXT_NEEDED):
                if _mlock(start, end - start) < 0:
                    raise oserror("mlock", os.fsdecode(name))
                populated += end - start
    finally:
        os.close(pagemap)
    return populated


def _mappings() -> list[tuple[int, int, bytes, bytes]]:
    with open("/proc/self/maps", "rb") as file:
        lines = file.read().splitlines()
    found = []
    for line in lines:
        words = line.split(None, 5)
        start, _, end = words[0].partition(b"-")
        found.append((int(start, 16), int(end, 16), words[1], words[5] if len(words) > 5 else b""))
    return found


def _write_to(start: int, length: int) -> None:
    try:
        madvise(start, length, MADV_POPULATE_WRITE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Before Linux 5.14: a byte of each page is written over itself. Nobody else writes here while we arm.
        for address in range(start, start + length, PAGE):
            ctypes.memmove(address, address, 1)


def _unshare_present(pagemap: int, start: int, end: int) -> int:
    """MADV_POPULATE_WRITE over each run of present pages: a page shared since fork gets its own copy now."""
    pages = (end - start) // PAGE
    entries = struct.unpack(f"={pages}Q", os.pread(pagemap, pages * 8, start // PAGE * 8).ljust(pages * 8, b"\0"))
    populated, run = 0, None
    for index in range(pages + 1):
        present = index < pages and entries[index] & PRESENT
        if present and run is None:
            run = index
        elif not present and run is not None:
            length = (index - run) * PAGE
            _write_to(start + run * PAGE, length)
            populated += length
            run = None
    return populated
