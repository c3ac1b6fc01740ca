"""The whole system: /proc/meminfo, /proc/vmstat, /proc/zoneinfo and /proc/pressure."""

from __future__ import annotations

import os

from ...core.config import DomainKind
from ...core.snapshot import Outcome, Snapshot
from ...core.vocabulary import ABSENT
from ..mounts import memcg_v1_root, under
from ..procfs.kswapd import Kswapd
from ..procfs.meminfo import Meminfo
from ..procfs.vmstat import NodeLru, Vmstat, node_paths
from ..procfs.zoneinfo import Zoneinfo
from .base import NO_EVENTS, PAGE_KB, Domain
from .oom import kills_in_flat_file

_UNREAD = (ABSENT, ABSENT, ABSENT)


class SystemDomain(Domain):
    """All memory of the host.

    Who reclaims is told by pgscan and pgrefill, which only /proc/vmstat has, and a read of that costs one kmalloc (it
    copies all its counters). Where BPF counts direct reclaims for us (use_reclaims) they are taken from there, kswapd's
    work from its run time, the file LRU and the refaults from the nodes, and a sample allocates nothing. Of these
    numbers only movement is looked at. Elsewhere vmstat is read, alone, and last: everything else is known by then.
    """

    kind = DomainKind.SYSTEM
    _lru: NodeLru | None = None
    _kswapd: Kswapd | None = None
    _reclaims: memoryview
    _at = 0  # the word of _reclaims that counts
    _lacking = "no BPF program counts direct reclaims"  # why vmstat is read

    def pin(self) -> None:
        """Open and read once."""
        root = self._root
        self._meminfo = Meminfo(under(root, "/proc/meminfo"))
        self._files.append(self._meminfo.file)
        self._vmstat = Vmstat(under(root, "/proc/vmstat"))
        self._files.append(self._vmstat.counters.file)
        self._zoneinfo = Zoneinfo(under(root, "/proc/zoneinfo"))
        self._files.append(self._zoneinfo.file)
        self._pin_pressure(under(root, "/proc/pressure"), "")
        self.pressure_dir = memcg_v1_root(root)

    def use_reclaims(self, words: memoryview, index: int) -> None:
        """See Domain.use_reclaims. Nothing changes where a node or its kswapd cannot be seen."""
        paths = node_paths(self._root)
        if not paths:
            self._lacking = "no memory node tells of its file LRU"
            return
        try:
            lru = NodeLru(paths)
            kswapd = Kswapd(len(paths))
        except OSError as error:
            self._lacking = error.strerror or str(error)
            return
        except ValueError as error:
            self._lacking = str(error)
            return
        if ABSENT in lru.read():
            self._lacking = "the memory nodes do not tell of refaults"
            return
        self._files += [node.file for node in lru.nodes]
        self._files += kswapd.files
        self._reclaims, self._at = words, index
        self._lru, self._kswapd = lru, kswapd

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        """See Domain.sample."""
        self._meminfo.read()
        watermarks = _UNREAD
        if want_watermarks:
            self._zoneinfo.read()
            watermarks = self._zoneinfo.watermarks
        pressure = self._pressure()
        if self._lru is not None and self._kswapd is not None:
            vmstat = [*self._lru.read(), self._kswapd.ran_us(), self._reclaims[self._at], ABSENT]
        else:
            self._vmstat.read()
            vmstat = self._vmstat.values
        return Snapshot._make(
            (
                now_ms,
                kind,
                level,
                PAGE_KB,
                outcome,
                victim_alive,
                *self._meminfo.values,
                *vmstat,
                *watermarks,
                *pressure,
                *NO_EVENTS,
            )
        )

    def allocating(self) -> list[str]:
        """See Domain.allocating: vmstat, where who reclaims is told by nothing else."""
        return [] if self._lru is not None else [f"{self._vmstat.counters.file.path} ({self._lacking})"]

    def members(self) -> list[int]:
        """Every process the steward's /proc shows."""
        return [int(name) for name in os.listdir(under(self._root, "/proc")) if name.isdigit()]

    def oom_kills(self) -> int:
        """Line oom_kill of /proc/vmstat (Linux 4.13)."""
        return kills_in_flat_file(under(self._root, "/proc/vmstat"))

    def describe(self) -> str:
        """One line for the trace header."""
        psi = "PSI" if self._psi_memory is not None else "no PSI"
        reclaim = "" if self._lru is None else ", direct reclaim by BPF, kswapd by its run time"
        return f"whole system, {self._meminfo.values[0] >> 10} MiB, {psi}{reclaim}"
