"""RAM and swap of the whole host by sysinfo(2), which allocates nothing; a captured tree answers from its meminfo."""

from __future__ import annotations

import ctypes

from .libc import function
from .mounts import under
from .procfs.meminfo import KEYS, Meminfo

_TOTAL, _SWAP_TOTAL, _SWAP_FREE = KEYS.index(b"MemTotal"), KEYS.index(b"SwapTotal"), KEYS.index(b"SwapFree")


class _SysInfo(ctypes.Structure):
    _fields_ = (
        ("uptime", ctypes.c_long),
        ("loads", ctypes.c_ulong * 3),
        ("totalram", ctypes.c_ulong),
        ("freeram", ctypes.c_ulong),
        ("sharedram", ctypes.c_ulong),
        ("bufferram", ctypes.c_ulong),
        ("totalswap", ctypes.c_ulong),
        ("freeswap", ctypes.c_ulong),
        ("procs", ctypes.c_ushort),
        ("pad", ctypes.c_ushort),
        ("totalhigh", ctypes.c_ulong),
        ("freehigh", ctypes.c_ulong),
        ("mem_unit", ctypes.c_uint),
        ("tail", ctypes.c_char * 16),
    )


class HostMemory:
    """`ram_kb` is taken once; read() refreshes swap_total_kb and swap_free_kb (0 and 0 without swap)."""

    __slots__ = ("_address", "_call", "_info", "ram_kb", "swap_free_kb", "swap_total_kb")

    def __init__(self, root: str = "/") -> None:
        meminfo = Meminfo(under(root, "/proc/meminfo"))
        meminfo.file.close()
        self.ram_kb = meminfo.values[_TOTAL]
        self.swap_total_kb = meminfo.values[_SWAP_TOTAL]
        self.swap_free_kb = meminfo.values[_SWAP_FREE]
        self._info = _SysInfo()
        self._address = ctypes.addressof(self._info)
        self._call = function("sysinfo", ctypes.c_int, ctypes.c_void_p) if root == "/" else None

    def read(self) -> None:
        """Refresh the swap figures; never fails."""
        if self._call is not None and self._call(self._address) == 0:
            info = self._info
            unit = info.mem_unit or 1
            self.swap_total_kb = info.totalswap * unit >> 10
            self.swap_free_kb = info.freeswap * unit >> 10
