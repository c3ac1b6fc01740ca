"""RAM and swap of the whole host by sysinfo(2), which allocates nothing; a captured tree answers from its meminfo."""

from __future__ import annotations

import ctypes

from ..acting.libc import function
from .mounts import under
from .procfs.meminfo import MEMINFO
from .procfs.table import numbers_in


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


def ram_by_sysinfo_kb() -> int:
    """RAM as the system call has it, which no file system can stand in for; 0 where it is refused."""
    info = _SysInfo()
    call = function("sysinfo", ctypes.c_int, ctypes.c_void_p)
    if call(ctypes.addressof(info)) != 0:
        return 0
    return int(info.totalram * (info.mem_unit or 1) >> 10)


class HostMemory:
    """`ram_kb` is taken once; read() refreshes swap_total_kb and swap_free_kb (0 and 0 without swap)."""

    __slots__ = ("_address", "_call", "_info", "ram_kb", "swap_free_kb", "swap_total_kb")

    def __init__(self, root: str = "/") -> None:
        self.ram_kb = self.swap_total_kb = self.swap_free_kb = 0
        try:
            meminfo = numbers_in(under(root, "/proc/meminfo"), MEMINFO)
            self.ram_kb = meminfo["mem_total_kb"]
            self.swap_total_kb, self.swap_free_kb = meminfo["swap_total_kb"], meminfo["swap_free_kb"]
        except (OSError, ValueError):
            self.ram_kb = ram_by_sysinfo_kb() if root == "/" else 0
            if not self.ram_kb:
                raise
        self._info = _SysInfo()
        self._address = ctypes.addressof(self._info)
        self._call = function("sysinfo", ctypes.c_int, ctypes.c_void_p) if root == "/" else None

    def read(self) -> None:
        """Kill path. Refresh the swap figures with sysinfo(2); never fails."""
        if self._call is not None and self._call(self._address) == 0:
            info = self._info
            unit = info.mem_unit or 1
            self.swap_total_kb = info.totalswap * unit >> 10
            self.swap_free_kb = info.freeswap * unit >> 10
