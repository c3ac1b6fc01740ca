"""A v1 memory cgroup; its PSI comes from a v2 cgroup with the same member tasks."""

from __future__ import annotations

import errno
import os

from ....core.config import DomainKind
from ....core.snapshot import Outcome, Snapshot
from ....core.vocabulary import ABSENT, ProgressSource
from ..mounts import under
from ..procfs.memcg_v1 import ANON, FILE, NUMA_STAT, STAT, UNEVICTABLE
from ..procfs.table import BYTES_TO_KB, LEAST, Row
from .base import FIELDS, PAGE_KB, index_of
from .memcg import LIMITED, SWAP_LIMIT, SWAP_USAGE, USAGE, MemcgDomain
from .oom import kills_below

_USAGE = (Row(b"\n", USAGE, BYTES_TO_KB, required=1),)
_LIMIT = Row(b"\n", LIMITED, BYTES_TO_KB, required=1, several=LEAST)
_FAILCNT = (Row(b"\n", "direct_progress", required=1),)
_MEMSW_USAGE = (Row(b"\n", SWAP_USAGE, BYTES_TO_KB, required=1),)
_TOTAL, _ACTIVE_ANON, _SWAP_TOTAL, _INACTIVE_LRU = index_of(
    "mem_total_kb", "active_anon_kb", "swap_total_kb", "nr_inactive_file_pages"
)
# A host that had no swap is asked again so often: who calls swapon can wait, and asking costs 10 us.
_NEW_SWAP_MS = 10_000


class MemcgV1Domain(MemcgDomain):
    """Reads usage, limits, failcnt, numa_stat and, if the host has swap, memsw: none of them allocates (allocating()
    names what stands in for numa_stat where a kernel lacks it).

    numa_stat does not split its lists, so the whole file LRU is given as active and inactive is 0: the estimate of
    easily reclaimed memory, free + inactive file, then counts F once. Shared memory is part of anon there, its own
    field is ABSENT. Reclaim shows as movement of memory.failcnt.
    """

    kind = DomainKind.MEMCG_V1
    progress_source = int(ProgressSource.FAILCNT)
    blank = MemcgDomain.blank._replace(swap_total_kb=0, swap_free_kb=0)
    own = (*MemcgDomain.own, FILE, ANON, UNEVICTABLE)
    _swap_due_ms = 0

    def pin(self) -> None:
        """Start-up. Open the counter files and read each once."""
        super().pin()
        root = _hierarchy_root(self.directory)
        self._table.pin(os.path.join(self.directory, "memory.usage_in_bytes"), _USAGE)
        self._pin_optional(os.path.join(self.directory, "memory.failcnt"), _FAILCNT)
        self._pin_upwards(self._table, "memory.limit_in_bytes", _LIMIT, root)
        self._pin_lists(NUMA_STAT, STAT)
        self._pin_refaults()
        self._pin_upwards(self._swap_table, "memory.memsw.limit_in_bytes", _LIMIT._replace(field=SWAP_LIMIT), root, 0)
        if self._swap_table.files:
            memsw = os.path.join(self.directory, "memory.memsw.usage_in_bytes")
            self._pin_optional(memsw, _MEMSW_USAGE, self._swap_table)
        self._counts_swap = self._swap_table.has(SWAP_USAGE)
        if self._monitor.domain.psi_path:
            twin = under(self._root, self._monitor.domain.psi_path)
            if not os.path.isdir(twin):
                raise FileNotFoundError(errno.ENOENT, f"memory domain's PSI directory {twin}: no such directory")
            self._pin_pressure(twin, ".pressure")
        self.pressure_dir = self.directory

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        values = self._table.read()
        values[:6] = now_ms, kind, level, PAGE_KB, outcome, victim_alive
        undivided, usage_kb, limit_kb, file_pages, anon_pages, unevictable_pages = values[FIELDS:]
        if usage_kb < 0:
            return self._unknown(values)
        total_kb = self._total_kb(limit_kb)
        file_kb, inactive = (file_pages * PAGE_KB, 0) if file_pages >= 0 else (ABSENT, ABSENT)
        free_kb = (total_kb - usage_kb if total_kb > usage_kb else 0) + (file_kb if file_kb > 0 else 0)
        values[_TOTAL : _TOTAL + 2] = total_kb, free_kb
        values[_ACTIVE_ANON : _ACTIVE_ANON + 5] = (
            anon_pages * PAGE_KB if anon_pages >= 0 else ABSENT,
            0 if anon_pages >= 0 else ABSENT,
            file_kb,
            inactive,
            unevictable_pages * PAGE_KB if unevictable_pages >= 0 else ABSENT,
        )
        values[_INACTIVE_LRU : _INACTIVE_LRU + 2] = inactive, file_pages
        if self._host.swap_total_kb > 0 or now_ms >= self._swap_due_ms:
            self._swap_due_ms = now_ms + _NEW_SWAP_MS
            values[_SWAP_TOTAL : _SWAP_TOTAL + 2] = self._swap(total_kb, usage_kb)
        return self._made(values, undivided, total_kb)

    def _swap(self, total_kb: int, usage_kb: int) -> tuple[int, int]:
        # memsw limits and counts memory and swap together. Without those files only the host's swap bounds us.
        host = self._host
        host.read()
        if host.swap_total_kb <= 0:
            return 0, 0
        if not self._counts_swap:
            return host.swap_total_kb, host.swap_free_kb
        both_kb, used_kb = self._swap_table.read()
        swap_kb = host.swap_total_kb
        if 0 <= both_kb < swap_kb + total_kb:
            swap_kb = max(both_kb - total_kb, 0)
        return swap_kb, max(min(swap_kb - max(used_kb - usage_kb, 0), host.swap_free_kb), 0)

    def oom_kills(self) -> int:
        """Kernel OOM kills in this cgroup and those below it, from memory.oom_control (Linux 4.13)."""
        return kills_below(self.directory, "memory.oom_control")


def _hierarchy_root(directory: str) -> str:
    """The root cgroup above: it has no limit and cannot have one. "" where it is not in sight (a namespace)."""
    while len(directory) > 1:
        if os.path.exists(os.path.join(directory, "release_agent")):  # only there (kernel/cgroup/cgroup-v1.c)
            return directory
        directory = os.path.dirname(directory)
    return ""
