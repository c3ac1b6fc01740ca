"""The PF_MEMALLOC window of device/module: an ioctl opens it for the calling thread, another one closes it.

While it is open the thread never waits for memory: the kernel serves it from its reserves. Whoever opens the device
has to be the thread that uses it; the flag is nobody else's, no child's either.
"""

from __future__ import annotations

import ctypes
import os

from ..acting.libc import function, oserror

DEVICE = "/dev/lmkd_memalloc"
VERSION = 1
# device/module/lmkd_memalloc.h
GET_VERSION, SET, CLEAR = 0xA900, 0xA901, 0xA902

_ioctl = function("ioctl", ctypes.c_int, ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong)


class MemallocWindow:
    """One thread's. `is_open` is 1 from begin() to end()."""

    __slots__ = ("fd", "is_open")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.is_open = 0

    def begin(self) -> int:
        """Kill path: 0, or a negative errno and no window."""
        if _ioctl(self.fd, SET, 0) < 0:
            return -ctypes.get_errno()
        self.is_open = 1
        return 0

    def end(self) -> int:
        """Kill path. Clear PF_MEMALLOC; 0 or a negative errno."""
        self.is_open = 0
        if _ioctl(self.fd, CLEAR, 0) < 0:
            return -ctypes.get_errno()
        return 0

    def close(self) -> None:
        """Give it up; an open window ends with it."""
        os.close(self.fd)


def open_window() -> MemallocWindow:
    """The calling thread's window, tried once.

    OSError: ENOENT where the module is not loaded, EPERM without CAP_SYS_RESOURCE, ENOTTY where the node is another's.
    """
    fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    window = MemallocWindow(fd)
    version = _ioctl(fd, GET_VERSION, 0)
    error = -ctypes.get_errno() if version < 0 else 0
    if version == VERSION:
        error = window.begin() or window.end()
        if not error:
            return window
    window.close()
    if error:
        raise oserror("ioctl", DEVICE, -error)
    raise OSError(f"{DEVICE}: found version {version} of the module, wanted {VERSION}")
