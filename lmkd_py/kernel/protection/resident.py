"""Make what is present resident for good, without paying for what was never touched.

mlockall(MCL_CURRENT | MCL_FUTURE) would fill every mapping, also the empty tails of heaps, stacks and libraries
(about 4 MB of a Python process). Instead: lock on fault, break copy-on-write for every private page that exists, and
fill text and read-only data of the program and of the libraries it executes, whichever branch may run one day.

Left out is what nobody reads any more, more than a megabyte:
- symbols and relocations. Where LD_BIND_NOW is set the dynamic linker has bound every function when the program starts;
  both processes then give those pages back. A linker that puts them into one segment with the read-only data (lld)
  leaves us no choice: that segment is filled.
- the tables for unwinding C frames (.eh_frame), which linkers put at the end of the read-only data. No C++ runs here,
  and no thread is cancelled.
- libraries that the kill path does not execute, above all libm: it computes in integers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from ..acting.libc import function, oserror
from ..acting.memory import MADV_DONTNEED, MADV_POPULATE_WRITE, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, madvise, mlockall

PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT, OF_FILE = 1 << 63, 1 << 61  # Documentation/admin-guide/mm/pagemap.rst
PT_GNU_EH_FRAME = 0x6474E550
# "python" is in the names of its extension modules, too.
NEEDED = (b"python", b"libc.so", b"libc-", b"_ctypes", b"libffi", b"ld-", b"linker", b"bionic")

_mlock = function("mlock", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


class _Mapping(NamedTuple):
    start: int
    end: int
    rights: bytes  # as in /proc/PID/maps
    offset: int  # in the file
    name: bytes


def make_resident() -> int:
    """Lock and populate; returns the bytes populated. Raises OSError where locking is refused."""
    release_unused()  # a locked page cannot be given back
    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
    populated = 0
    mappings = _mappings()
    spared = _symbols(mappings)
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for each in mappings:
            start, end, rights, _, name = each
            if rights[:2] == b"rw" and not name.startswith(b"[v"):
                populated += _unshare_present(pagemap, start, end)
            elif _is_needed(each) and each not in spared:
                length = _unwinding(each) - start
                if _mlock(start, length) < 0:
                    raise oserror("mlock", os.fsdecode(name))
                populated += length
    finally:
        os.close(pagemap)
    return populated


def release_unused() -> None:
    """Give back what only the start has read: symbols, unless a function may still be bound at its first call, and
    libraries that the kill path does not execute.

    They come again from the file should somebody want them. Raises OSError where /proc cannot be read.
    """
    mappings = _mappings()
    others = [each for each in mappings if _is_of_a_file(each) and not _is_needed(each)]
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end, *_ in (*_symbols(mappings), *others):
            # A page that was written to would be lost, though nobody has a reason to.
            if all(entry & OF_FILE or not entry & PRESENT for entry in _entries(pagemap, start, end)):
                madvise(start, end - start, MADV_DONTNEED)
    finally:
        os.close(pagemap)


def _is_of_a_file(mapping: _Mapping) -> bool:
    return mapping.rights[:2] == b"r-" and mapping.name[:1] == b"/"


def _is_needed(mapping: _Mapping) -> bool:
    name = os.path.basename(mapping.name)
    return _is_of_a_file(mapping) and any(part in name for part in NEEDED)


def _symbols(mappings: list[_Mapping]) -> list[_Mapping]:
    # The first segment of files that have two more read-only ones: read-only data, and what relocation has made so.
    if not os.environ.get("LD_BIND_NOW"):
        return []
    behind = [each.name for each in mappings if each.rights == b"r--p" and each.offset]
    return [each for each in mappings if each.rights == b"r--p" and not each.offset and behind.count(each.name) > 1]


def _unwinding(mapping: _Mapping) -> int:
    """Where the tables for unwinding begin, rounded up to a page; the mapping's end if it has none, or holds code."""
    size = mapping.end - mapping.start
    if mapping.rights != b"r--p":
        return mapping.end
    try:
        with open(mapping.name, "rb") as file:
            head = file.read(PAGE)
    except OSError:  # replaced meanwhile
        return mapping.end
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return mapping.end
    is_64 = head[4:5] == b"\2"  # ELFCLASS64
    (table,) = struct.unpack_from("Q" if is_64 else "I", head, 32 if is_64 else 28)
    each_bytes, count = struct.unpack_from("HH", head, 54 if is_64 else 42)
    for at in range(table, min(table + each_bytes * count, len(head) - each_bytes + 1), max(each_bytes, 1)):
        (kind,) = struct.unpack_from("I", head, at)
        offset: int = struct.unpack_from("Q" if is_64 else "I", head, at + (8 if is_64 else 4))[0]
        if kind == PT_GNU_EH_FRAME and mapping.offset < offset < mapping.offset + size:
            return mapping.start + -(-(offset - mapping.offset) // PAGE) * PAGE
    return mapping.end


def _mappings() -> list[_Mapping]:
    with open("/proc/self/maps", "rb") as file:
        lines = file.read().splitlines()
    found = []
    for line in lines:
        words = line.split(None, 5)
        start, _, end = words[0].partition(b"-")
        name = words[5] if len(words) > 5 else b""
        found.append(_Mapping(int(start, 16), int(end, 16), words[1], int(words[2], 16), name))
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


def _entries(pagemap: int, start: int, end: int) -> tuple[int, ...]:
    pages = (end - start) // PAGE
    return struct.unpack(f"={pages}Q", os.pread(pagemap, pages * 8, start // PAGE * 8).ljust(pages * 8, b"\0"))


def _unshare_present(pagemap: int, start: int, end: int) -> int:
    """MADV_POPULATE_WRITE over each run of present pages: a page shared since fork gets its own copy now."""
    entries = _entries(pagemap, start, end)
    pages = len(entries)
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
