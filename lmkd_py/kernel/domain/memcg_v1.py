"""A v1 memory cgroup; its PSI comes from a v2 cgroup with the same member tasks."""

from __future__ import annotations

import errno
import os

from ...core.config import DomainKind
from ...core.snapshot import Outcome, Snapshot
from ...core.vocabulary import ABSENT
from ..mounts import under
from ..procfs.memcg_v1 import page_lists
from .base import PAGE_KB
from .memcg import MemcgDomain
from .oom import kills_below


class MemcgV1Domain(MemcgDomain):
    """Reads usage, limits, failcnt, numa_stat and, if the host has swap, memsw: none of them allocates.

    numa_stat does not split its lists, so the whole file LRU is given as active and inactive is 0: the estimate of
    easily reclaimed memory, free + inactive file, then counts F once. Shared memory is part of anon there, its own
    field is ABSENT. Reclaim shows as movement of memory.failcnt.
    """

    kind = DomainKind.MEMCG_V1

    def pin(self) -> None:
        """Open and read once."""
        super().pin()
        self._usage = self._pin_number(os.path.join(self.directory, "memory.usage_in_bytes"))
        self._failcnt = self._pin_number(os.path.join(self.directory, "memory.failcnt"))
        self._limits = self._pin_upwards("memory.limit_in_bytes")
        self._numa = page_lists(self.directory)
        self._files.append(self._numa.file)
        self._memsw_limits = self._pin_upwards("memory.memsw.limit_in_bytes")
        memsw = os.path.join(self.directory, "memory.memsw.usage_in_bytes")
        self._memsw_usage = self._pin_number(memsw) if self._memsw_limits else None
        if self._monitor.domain_psi_path:
            twin = under(self._root, self._monitor.domain_psi_path)
            if not os.path.isdir(twin):
                raise FileNotFoundError(errno.ENOENT, f"memory domain's PSI directory {twin}: no such directory")
            self._pin_pressure(twin, ".pressure")
        self.pressure_dir = self.directory

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        """See Domain.sample."""
        head = (now_ms, kind, level, outcome, victim_alive)
        usage = self._usage.read()
        if usage < 0:
            return self._unknown(head, usage)
        total_kb = self._total_kb()
        failures = self._failcnt.read()
        numa = self._numa
        numa.read()
        swap_total_kb, swap_free_kb = self._swap(total_kb, usage >> 10)
        file_kb = max(numa.file_pages, 0) * PAGE_KB
        memory_kb = (
            total_kb,
            max(total_kb - (usage >> 10), 0) + file_kb,
            ABSENT,
            ABSENT,
            ABSENT,
            numa.anon_pages * PAGE_KB if numa.anon_pages >= 0 else ABSENT,
            0 if numa.anon_pages >= 0 else ABSENT,
            file_kb if numa.file_pages >= 0 else ABSENT,
            0 if numa.file_pages >= 0 else ABSENT,
            numa.unevictable_pages * PAGE_KB if numa.unevictable_pages >= 0 else ABSENT,
            swap_total_kb,
            swap_free_kb,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
        )
        file_pages = (0, numa.file_pages) if numa.file_pages >= 0 else (ABSENT, ABSENT)
        return self._snapshot(head, memory_kb, file_pages, max(failures, ABSENT), self._watermarks(total_kb))

    def _swap(self, total_kb: int, usage_kb: int) -> tuple[int, int]:
        # memsw limits and counts memory and swap together. Without those files only the host's swap bounds us.
        host = self._host
        host.read()
        if host.swap_total_kb <= 0:
            return 0, 0
        if self._memsw_usage is None:
            return host.swap_total_kb, host.swap_free_kb
        swap_kb = host.swap_total_kb
        for limit in self._memsw_limits:
            if limit.read() >= 0 and (limit.value >> 10) - total_kb < swap_kb:
                swap_kb = max((limit.value >> 10) - total_kb, 0)
        used_kb = max((self._memsw_usage.read() >> 10) - usage_kb, 0)
        return swap_kb, max(min(swap_kb - used_kb, host.swap_free_kb), 0)

    def oom_kills(self) -> int:
        """Kernel OOM kills in this cgroup and those below it, from memory.oom_control (Linux 4.13)."""
        return kills_below(self.directory, "memory.oom_control")
