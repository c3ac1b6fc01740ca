"""Locking, sizing and populating our own memory before arming. Nothing here belongs on the kill path."""

from __future__ import annotations

import ctypes
import errno
import mmap

from .libc import function, oserror

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
MADV_DONTNEED = 4
MADV_POPULATE_WRITE = 23  # Linux 5.14
# glibc's mallopt parameters. The first two keep the heap from being given back or bypassed by mmap.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8

_mlockall = function("mlockall", ctypes.c_int, ctypes.c_int)
_munlockall = function("munlockall", ctypes.c_int)
_madvise = function("madvise", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def mlockall(flags: int) -> None:
    """Lock this process's mappings; EPERM or ENOMEM where RLIMIT_MEMLOCK forbids it."""
    if _mlockall(flags) < 0:
        raise oserror("mlockall", f"flags {flags:#x}")


def munlockall() -> None:
    """munlockall(2). Raises OSError."""
    if _munlockall() < 0:
        raise oserror("munlockall")


def mallopt(param: int, value: int) -> int:
    """1 if this libc took the setting, 0 if it has none such (bionic knows other parameters, musl has no mallopt)."""
    try:
        taken: int = function("mallopt", ctypes.c_int, ctypes.c_int, ctypes.c_int)(param, value)
    except AttributeError:
        return 0
    return 1 if taken == 1 else 0


def madvise(addr: int, length: int, advice: int) -> None:
    """madvise(2) on [addr, addr + length). Raises OSError."""
    if _madvise(addr, length, advice) < 0:
        raise oserror("madvise", f"advice {advice} on {length} bytes")


def address_of(area: mmap.mmap) -> int:
    """Where a writable mapping starts; valid until it is closed."""
    return ctypes.addressof(ctypes.c_char.from_buffer(area))


def populate(area: mmap.mmap) -> None:
    """Make every page of a writable mapping present in this process, contents unchanged.

    MADV_POPULATE_WRITE where the kernel has it, else each page is read and written back (only safe while nobody
    else writes to the mapping).
    """
    try:
        madvise(address_of(area), len(area), MADV_POPULATE_WRITE)
    except OSError as failure:
        if failure.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        for offset in range(0, len(area), mmap.PAGESIZE):
            area[offset] = area[offset]


def pregrow_heap(size: int) -> None:
    """Raise the malloc heap by `size` bytes once, so that later growth finds the room already there.

    Works where mallopt took M_MMAP_MAX 0 and M_TRIM_THRESHOLD -1 before; else the block goes straight back.
    """
    malloc = function("malloc", ctypes.c_void_p, ctypes.c_size_t)
    free = function("free", None, ctypes.c_void_p)
    block = malloc(size)
    if not block:
        raise oserror("malloc", f"{size} bytes", errno.ENOMEM)
    ctypes.memset(block, 0, size)
    free(block)
