"""Whose memory /proc/meminfo tells of. A container manager may put a file of its own over it (lxcfs): then it has the
container's sizes beside zones, vmstat and pressure of the host, and a policy that takes both for one kills without end.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ....core.vocabulary import ABSENT
from ..hostmem import ram_by_sysinfo_kb
from ..mounts import under
from ..procfs.meminfo import MEMINFO
from ..procfs.table import numbers_in
from ..procfs.zoneinfo import Zoneinfo

# MemTotal is the sum of the zones' managed pages, on kernels that initialise memory late more; what is reserved (the
# kernel, a crash kernel, device memory) is in neither. They differ where memory comes or goes between the two reads: a
# balloon, or blocks of hotplug. An eighth is more than that, and what it leaves in doubt moves watermarks by as much.
_TOLERANCE = 8
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class MixedMemory(ValueError):
    """meminfo and the kernel's own counters are of two memories."""

    def __init__(self, meminfo_kb: int, host_kb: int) -> None:
        super().__init__(
            f"two memories: /proc/meminfo tells of {meminfo_kb >> 10} MiB, the kernel has {host_kb >> 10} MiB, so this "
            "is a container, and the whole system cannot be guarded from inside; set domain.kind MEMCG_V1 or CGROUP_V2 "
            "and domain.path to the container's memory cgroup, or run on the host"
        )
        self.meminfo_kb = meminfo_kb
        self.host_kb = host_kb


class MemorySizes(NamedTuple):
    """Sizes in kB; 0 where they cannot be told."""

    meminfo_kb: int
    host_kb: int

    @property
    def mixed(self) -> bool:
        """Whether they are of two memories."""
        return 0 < self.meminfo_kb < self.host_kb - self.host_kb // _TOLERANCE

    def need_one(self) -> None:
        """MixedMemory if they are of two."""
        if self.mixed:
            raise MixedMemory(self.meminfo_kb, self.host_kb)


def sizes(root: str = "/") -> MemorySizes:
    """Read both anew; never raises."""
    try:
        zoneinfo = Zoneinfo(under(root, "/proc/zoneinfo"))
    except (OSError, ValueError):
        zoneinfo = None
    try:
        meminfo_kb = numbers_in(under(root, "/proc/meminfo"), MEMINFO)["mem_total_kb"]
    except (OSError, ValueError):
        meminfo_kb = ABSENT
    found = sizes_of(root, meminfo_kb, zoneinfo)
    if zoneinfo is not None:
        zoneinfo.file.close()
    return found


def sizes_of(root: str, meminfo_kb: int, zoneinfo: Zoneinfo | None) -> MemorySizes:
    """As the two files had them when they were last read. `meminfo_kb`: MemTotal."""
    pages = [zone.managed for zone in zoneinfo.zones()] if zoneinfo is not None else []
    managed_kb = 0 if ABSENT in pages else sum(pages) * _PAGE_KB
    by_call_kb = ram_by_sysinfo_kb() if root == "/" else 0
    return MemorySizes(max(meminfo_kb, 0), max(managed_kb, by_call_kb))
