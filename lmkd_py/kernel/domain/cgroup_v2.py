"""A v2 cgroup with the memory controller."""

from __future__ import annotations

import errno
import os

from ...core.config import DomainKind
from ...core.snapshot import Outcome, Snapshot
from ...core.vocabulary import ABSENT
from ..procfs.cgroup_v2 import KEYS, page_lists
from ..procfs.counters import Counters
from ..procfs.number import UNLIMITED, NumberFile
from .base import PAGE_KB
from .memcg import MemcgDomain
from .oom import kills_in_flat_file

_SHMEM, _INACTIVE_ANON, _ACTIVE_ANON, _INACTIVE_FILE, _ACTIVE_FILE, _UNEVICTABLE = range(len(KEYS))
_PAGE = PAGE_KB * 1024


class CgroupV2Domain(MemcgDomain):
    """Reads memory.current, max, high, events, numa_stat and swap.*; PSI is its own.

    F is the two file lists, not numa_stat's "file", which counts shared memory too. mem_free already holds F, so the
    field inactive_file_kb is 0 (else the estimate of easily reclaimed memory would count it twice); the page fields
    have the real split. Reclaim shows as movement of the events max and high.
    """

    kind = DomainKind.CGROUP_V2

    def pin(self) -> None:
        """Open and read once."""
        super().pin()
        current = os.path.join(self.directory, "memory.current")
        if not os.path.exists(current):
            raise FileNotFoundError(errno.ENOENT, f"memory domain {current}: no such file (controller not enabled)")
        self._usage = self._pin_number(current)
        self._limits = self._pin_upwards("memory.max")
        self._high = self._pin_number(os.path.join(self.directory, "memory.high"))
        self.events_path = os.path.join(self.directory, "memory.events")
        self._events = Counters(self.events_path, (b"high", b"max"), (b"high", b"max"))
        self._files.append(self._events.file)
        self._numa = page_lists(self.directory)
        self._files.append(self._numa.file)
        self._lists_path = self._numa.file.path
        self._swap_limits = self._pin_upwards("memory.swap.max")
        swap = os.path.join(self.directory, "memory.swap.current")
        self._swap_usage: NumberFile | None = self._pin_number(swap) if self._swap_limits else None
        self._pin_pressure(self.directory, ".pressure")

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        """See Domain.sample."""
        head = (now_ms, kind, level, outcome, victim_alive)
        usage = self._usage.read()
        if usage < 0:
            return self._unknown(head, usage)
        total_kb = self._total_kb()
        self._events.read()
        high_events, max_events = self._events.values
        self._numa.read()
        lists = self._numa.values
        inactive, active = lists[_INACTIVE_FILE], lists[_ACTIVE_FILE]
        file_kb = (inactive + active) >> 10 if inactive >= 0 and active >= 0 else 0
        swap_total_kb, swap_free_kb = self._swap()
        memory_kb = (
            total_kb,
            max(total_kb - (usage >> 10), 0) + file_kb,
            ABSENT,
            ABSENT,
            ABSENT,
            lists[_ACTIVE_ANON] >> 10,  # ABSENT stays ABSENT: -1 >> 10 is -1
            lists[_INACTIVE_ANON] >> 10,
            file_kb if inactive >= 0 and active >= 0 else ABSENT,
            0 if inactive >= 0 and active >= 0 else ABSENT,
            lists[_UNEVICTABLE] >> 10,
            swap_total_kb,
            swap_free_kb,
            lists[_SHMEM] >> 10,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
        )
        direct = high_events + max_events if high_events >= 0 and max_events >= 0 else ABSENT
        file_pages = (inactive // _PAGE, active // _PAGE)  # -1 // page is -1 as well
        return self._snapshot(head, memory_kb, file_pages, direct, self._v2_watermarks(total_kb))

    def _v2_watermarks(self, total_kb: int) -> tuple[int, int, int]:
        # memory.high, where it is set, is where the kernel begins to reclaim: the distance to it is the high mark.
        least, low, high = self._watermarks(total_kb)
        limit = self._high.read()
        if 0 <= limit < UNLIMITED and limit >> 10 < total_kb:
            high = max((total_kb - (limit >> 10)) // PAGE_KB, low)
        return least, low, high

    def _swap(self) -> tuple[int, int]:
        host = self._host
        host.read()
        if host.swap_total_kb <= 0:
            return 0, 0
        if self._swap_usage is None:  # no swap accounting: only the host's swap bounds us
            return host.swap_total_kb, host.swap_free_kb
        swap_kb = host.swap_total_kb
        for limit in self._swap_limits:
            if 0 <= limit.read() >> 10 < swap_kb:
                swap_kb = limit.value >> 10
        return swap_kb, max(min(swap_kb - (self._swap_usage.read() >> 10), host.swap_free_kb), 0)

    def oom_kills(self) -> int:
        """Event oom_kill of memory.events, which counts descendants too."""
        return kills_in_flat_file(self.events_path)
