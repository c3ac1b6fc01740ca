"""A v2 cgroup with the memory controller."""

from __future__ import annotations

import errno
import os

from ....core.config import DomainKind
from ....core.snapshot import Outcome, Snapshot
from ....core.vocabulary import ABSENT, ProgressSource
from ..procfs.cgroup_v2 import NUMA_STAT, STAT
from ..procfs.table import BYTES_TO_KB, LEAST, LIMIT, Row
from .base import FIELDS, PAGE_KB, index_of
from .memcg import LIMITED, SWAP_LIMIT, SWAP_USAGE, USAGE, MemcgDomain
from .oom import kills_in_flat_file

HIGH = "high_kb"
_USAGE = (Row(b"\n", USAGE, BYTES_TO_KB, required=1),)
_LIMIT = Row(b"\n", LIMITED, BYTES_TO_KB, form=LIMIT, required=1, several=LEAST)
_HIGH = (_LIMIT._replace(field=HIGH),)
_EVENTS = (Row(b"\nhigh ", "direct_progress", required=1), Row(b"\nmax ", "direct_progress", required=1))
_SWAP_USAGE = (Row(b"\n", SWAP_USAGE, BYTES_TO_KB, required=1),)
_TOTAL, _ACTIVE_FILE, _SWAP_TOTAL, _INACTIVE_LRU = index_of(
    "mem_total_kb", "active_file_kb", "swap_total_kb", "nr_inactive_file_pages"
)


class CgroupV2Domain(MemcgDomain):
    """Reads memory.current, max, high, events, numa_stat and swap.*; PSI is its own.

    F is the two file lists, not numa_stat's "file", which counts shared memory too. mem_free already holds F, so the
    field inactive_file_kb is 0 (else the estimate of easily reclaimed memory would count it twice); the page fields
    have the real split. Reclaim shows as movement of the events max and high.
    """

    kind = DomainKind.CGROUP_V2
    progress_source = int(ProgressSource.LIMIT_EVENTS)
    own = (*MemcgDomain.own, HIGH)

    def pin(self) -> None:
        """Start-up. Open the counter files and read each once."""
        super().pin()
        current = os.path.join(self.directory, "memory.current")
        if not os.path.exists(current):
            raise FileNotFoundError(errno.ENOENT, f"memory domain {current}: no such file (controller not enabled)")
        self._table.pin(current, _USAGE)
        self._pin_upwards(self._table, "memory.max", _LIMIT)
        self._pin_optional(os.path.join(self.directory, "memory.high"), _HIGH)
        self.events_path = os.path.join(self.directory, "memory.events")
        self._pin_optional(self.events_path, _EVENTS)
        self._pin_lists(NUMA_STAT, STAT)
        if not self._counts_refaults:
            self._pin_refaults()
        self._pin_upwards(self._swap_table, "memory.swap.max", _LIMIT._replace(field=SWAP_LIMIT), own_required=0)
        if self._swap_table.files:
            self._pin_optional(os.path.join(self.directory, "memory.swap.current"), _SWAP_USAGE, self._swap_table)
        self._counts_swap = self._swap_table.has(SWAP_USAGE)
        self._pin_pressure(self.directory, ".pressure")

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        values = self._table.read()
        values[:6] = now_ms, kind, level, PAGE_KB, outcome, victim_alive
        undivided, usage_kb, limit_kb, high_kb = values[FIELDS:]
        if usage_kb < 0:
            return self._unknown(values)
        total_kb = self._total_kb(limit_kb)
        inactive, active = values[_INACTIVE_LRU : _INACTIVE_LRU + 2]
        file_kb = (inactive + active) * PAGE_KB if inactive >= 0 and active >= 0 else ABSENT
        free_kb = (total_kb - usage_kb if total_kb > usage_kb else 0) + (file_kb if file_kb > 0 else 0)
        values[_TOTAL : _TOTAL + 2] = total_kb, free_kb
        values[_ACTIVE_FILE : _ACTIVE_FILE + 2] = file_kb, 0 if file_kb >= 0 else ABSENT
        values[_SWAP_TOTAL : _SWAP_TOTAL + 2] = self._swap()
        snapshot = self._made(values, undivided, total_kb)
        if 0 <= high_kb < total_kb:
            # memory.high, where it is set, is where the kernel begins to reclaim: the distance to it is the high mark.
            high_pages = max((total_kb - high_kb) // PAGE_KB, snapshot.watermark_low_pages)
            return snapshot._replace(watermark_high_pages=high_pages)
        return snapshot

    def _swap(self) -> tuple[int, int]:
        host = self._host
        host.read()
        if host.swap_total_kb <= 0:
            return 0, 0
        if not self._counts_swap:  # no swap accounting: only the host's swap bounds us
            return host.swap_total_kb, host.swap_free_kb
        limit_kb, used_kb = self._swap_table.read()
        swap_kb = limit_kb if 0 <= limit_kb < host.swap_total_kb else host.swap_total_kb
        return swap_kb, max(min(swap_kb - used_kb, host.swap_free_kb), 0)

    def oom_kills(self) -> int:
        """Event oom_kill of memory.events, which counts descendants too."""
        return kills_in_flat_file(self.events_path)
