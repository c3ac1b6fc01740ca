"""The whole system: /proc/meminfo, /proc/vmstat, /proc/zoneinfo and /proc/pressure."""

from __future__ import annotations

import os

from ....core.config import DomainKind
from ....core.notes import Note
from ....core.snapshot import Outcome, Snapshot
from ....core.vocabulary import NoteKind, ProgressSource
from ..mounts import memcg_v1_root, under
from ..pinned import PinnedFile
from ..procfs.kswapd import RAN_NS, RUN_TIME, schedstat_paths
from ..procfs.meminfo import MEMINFO
from ..procfs.vmstat import FILE_LRU, RECLAIM, REFAULTS, UNDIVIDED, file_refault, node_paths, pin_nodes
from ..procfs.zoneinfo import Zoneinfo
from .base import FIELDS, PAGE_KB, Domain, index_of
from .memory_of import sizes_of
from .oom import kills_in_flat_file

_TOTAL, _SWAP_TOTAL, _REFAULT, _BOOST, _LEAST = index_of(
    "mem_total_kb", "swap_total_kb", "workingset_refault_pages", "watermark_boost_pages", "watermark_min_pages"
)
_KSWAPD, _DIRECT = index_of("kswapd_progress", "direct_progress")


class SystemDomain(Domain):
    """All memory of the host.

    Who reclaims is told by pgscan and pgrefill, which only /proc/vmstat has, and a read of that costs one kmalloc (it
    copies all its counters). Where BPF counts direct reclaims for us (use_reclaims) they are taken from there, kswapd's
    work from its run time, the file LRU and the refaults from the nodes, and a sample allocates nothing. Of these
    numbers only movement is looked at. Elsewhere vmstat is read, alone, and last: everything else is known by then.
    """

    kind = DomainKind.SYSTEM
    progress_source = int(ProgressSource.VMSTAT)
    own = (UNDIVIDED, RAN_NS)
    _vmstat: PinnedFile | None = None
    _reclaims: memoryview | None = None
    _at = 0  # the word of _reclaims that counts
    _lacking = "no BPF program counts direct reclaims"  # why vmstat is read

    def pin(self) -> None:
        """Start-up. Open the counter files and read each once."""
        root = self._root
        meminfo, zoneinfo = under(root, "/proc/meminfo"), under(root, "/proc/zoneinfo")
        self._table.pin(meminfo, MEMINFO)
        self._zoneinfo: Zoneinfo | None = self._optional(zoneinfo, lambda: Zoneinfo(zoneinfo))
        if self._zoneinfo is not None:
            self._others.append(self._zoneinfo.file)
        sizes_of(root, self._table.read()[_TOTAL], self._zoneinfo).need_one()
        self._pin_pressure(under(root, "/proc/pressure"), "")
        # Behind all others, since a read of it allocates: all else is known by then.
        self._vmstat = self._pin_optional(under(root, "/proc/vmstat"), (*FILE_LRU, *REFAULTS, *RECLAIM))
        self._pin_zram()
        self.pressure_dir = memcg_v1_root(root)

    def use_reclaims(self, words: memoryview, index: int) -> None:
        """See Domain.use_reclaims. Nothing changes where a node or its kswapd cannot be seen."""
        paths = node_paths(self._root)
        if not paths:
            self._lacking = "no NUMA node reports its file LRU"
            return
        table = self._table.without(self._vmstat)
        try:
            pin_nodes(table, paths, (*FILE_LRU, *REFAULTS))
            table.pin_all(schedstat_paths(len(paths)), RUN_TIME)
            if not table.has("workingset_refault_pages") and not table.has(UNDIVIDED):
                raise ValueError("the NUMA nodes do not report refaults")
        except (OSError, ValueError) as error:
            self._lacking = (error.strerror if isinstance(error, OSError) else "") or str(error)
            for file in table.files:
                if file not in self._table.files:
                    file.close()
            return
        if self._vmstat is not None:
            self._vmstat.close()
            self._vmstat = None
        self._table = table
        self._reclaims, self._at = words, index
        self.progress_source = int(ProgressSource.BPF)

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        values = self._table.read()
        undivided, ran_ns = values[FIELDS:]
        values[_REFAULT] = file_refault(undivided, values[_REFAULT])
        if self._reclaims is not None:
            values[_KSWAPD] = ran_ns // 1000  # ABSENT stays ABSENT
            values[_DIRECT] = self._reclaims[self._at]
        if want_watermarks and self._zoneinfo is not None:
            self._zoneinfo.read()
            values[_LEAST : _LEAST + 3] = self._zoneinfo.watermarks
            values[_BOOST] = self._zoneinfo.boost
        self._put_zram(values, values[_SWAP_TOTAL])
        values[:6] = now_ms, kind, level, PAGE_KB, outcome, victim_alive
        return Snapshot._make(values[:FIELDS])

    def allocating(self) -> list[str]:
        """See Domain.allocating: vmstat, where who reclaims is told by nothing else."""
        return [f"{self._vmstat.path} ({self._lacking})"] if self._vmstat is not None else []

    def lacks(self) -> list[Note]:
        """See Domain.lacks: also what a kernel without CONFIG_VM_EVENT_COUNTERS never counts."""
        found = list(self._lacks)
        if self._vmstat is not None:
            if not any(self._table.has(row.field) for row in RECLAIM):
                found.append(Note(kind=NoteKind.RECLAIM_UNCOUNTED, subject=self._vmstat.path))
            if not any(self._table.has(row.field) for row in REFAULTS if row.field != "refault_anon_pages"):
                found.append(Note(kind=NoteKind.REFAULTS_UNCOUNTED, subject=self._vmstat.path))
        return found

    def members(self) -> list[int]:
        """Every process the steward's /proc shows."""
        return [int(name) for name in os.listdir(under(self._root, "/proc")) if name.isdigit()]

    def among(self, pids: set[int]) -> set[int]:
        """All of them: no process is outside the whole system."""
        return pids

    def oom_kills(self) -> int:
        """Line oom_kill of /proc/vmstat (Linux 4.13)."""
        return kills_in_flat_file(under(self._root, "/proc/vmstat"))

    def held_kb(self) -> dict[str, int]:
        """dmabuf, where the kernel tells (/sys/kernel/dmabuf/buffers, Linux 5.13)."""
        base, held = under(self._root, "/sys/kernel/dmabuf/buffers"), 0
        try:
            for name in os.listdir(base):
                with open(os.path.join(base, name, "size"), "rb") as file:
                    held += int(file.read())
        except (OSError, ValueError):  # not told, or one was just freed: what was read counts
            pass
        return {"dmabuf": held >> 10} if held else {}

    def describe(self) -> str:
        psi = "PSI" if self._stall is not None else "no PSI"
        reclaim = "" if self._reclaims is None else ", direct reclaim by BPF, kswapd by its run time"
        zram = ", swap measured by zram" if self._zram is not None and self._zram.files else ""
        return f"whole system, {self._table.read()[_TOTAL] >> 10} MiB, {psi}{reclaim}{zram}"
