"""The whole system: /proc/meminfo, /proc/vmstat, /proc/zoneinfo and /proc/pressure."""

from __future__ import annotations

import os

from ...core.config import DomainKind
from ...core.snapshot import Outcome, Snapshot
from ...core.vocabulary import ABSENT
from ..mounts import memcg_v1_root, under
from ..procfs.meminfo import Meminfo
from ..procfs.vmstat import Vmstat
from ..procfs.zoneinfo import Zoneinfo
from .base import NO_EVENTS, PAGE_KB, Domain
from .oom import kills_in_flat_file

_UNREAD = (ABSENT, ABSENT, ABSENT)


class SystemDomain(Domain):
    """All memory of the host.

    A sample costs one kmalloc (a few hundred bytes up to 4 kB, by the read of /proc/vmstat, which copies all its
    counters; measured). Node vmstat would serve the file LRU and the refaults without, but pgscan and pgrefill are
    nowhere else, so /proc/vmstat is read, alone, and last: everything else is known by then.
    """

    kind = DomainKind.SYSTEM

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
        self._vmstat.read()
        return Snapshot._make(
            (
                now_ms,
                kind,
                level,
                PAGE_KB,
                outcome,
                victim_alive,
                *self._meminfo.values,
                *self._vmstat.values,
                *watermarks,
                *pressure,
                *NO_EVENTS,
            )
        )

    def members(self) -> list[int]:
        """Every process the steward's /proc shows."""
        return [int(name) for name in os.listdir(under(self._root, "/proc")) if name.isdigit()]

    def oom_kills(self) -> int:
        """Line oom_kill of /proc/vmstat (Linux 4.13)."""
        return kills_in_flat_file(under(self._root, "/proc/vmstat"))

    def describe(self) -> str:
        """One line for the trace header."""
        psi = "PSI" if self._psi_memory is not None else "no PSI"
        return f"whole system, {self._meminfo.values[0] >> 10} MiB, {psi}"
