"""The simulated /proc files and kernel event source: raw counters in, Snapshot out."""

from __future__ import annotations

from typing import Any

from lmkd_py.core.snapshot import Outcome, Snapshot
from lmkd_py.core.vocabulary import ABSENT

# In the order of Snapshot's fields.
_MEMINFO = (
    "MemTotal",
    "MemFree",
    "Buffers",
    "Cached",
    "SwapCached",
    "Active(anon)",
    "Inactive(anon)",
    "Active(file)",
    "Inactive(file)",
    "Unevictable",
    "SwapTotal",
    "SwapFree",
    "Shmem",
    "SReclaimable",
    "SUnreclaim",
    "KernelStack",
    "PageTables",
    "CmaFree",
)
# No hang. Of metering, the stall behind an event, the boost of the watermarks and zram a recording knows nothing.
_NOT_RECORDED = (0, *(ABSENT,) * 8)
_PROTECTIONS = 6  # entries of a zone's protection array that the daemon looks at


class Files:
    """Contents of the files as they stand; `snapshot` reads them all."""

    def __init__(self, init: dict[str, Any], page_kb: int, memevents: bool) -> None:
        self.page_kb = page_kb
        self.memevents = 1 if memevents else 0
        self.direct_since_ms = 0
        self.kswapd_since_ms = 0
        self._mi = dict(init["mi"])
        self._vs = dict(init["vs"])
        self._zones = init["zones"]
        self._psi = init["psi"]
        self._refresh()

    def change(self, step: dict[str, Any]) -> None:
        """Apply the file changes of one step of a scenario."""
        self._mi.update(step.get("mi", {}))
        self._vs.update(step.get("vs", {}))
        self._zones = step.get("zones", self._zones)
        self._psi = step.get("psi", self._psi)
        self._refresh()

    def _refresh(self) -> None:
        vs = self._vs
        refault = vs.get("workingset_refault") or vs.get(
            "workingset_refault_file", vs.get("workingset_refault", ABSENT)
        )
        marks = [0, 0, 0]
        for zone in self._zones:
            if zone["present"]:
                reserve = max([*zone["prot"][:_PROTECTIONS], 0])
                marks = [sum_ + zone[name] + reserve for sum_, name in zip(marks, ("min", "low", "high"))]
        self._counters = (
            *(self._mi.get(name, ABSENT) for name in _MEMINFO),
            vs.get("nr_inactive_file", ABSENT),
            vs.get("nr_active_file", ABSENT),
            refault,
            vs.get("workingset_refault_anon", ABSENT),
            vs.get("pgscan_kswapd", ABSENT),
            vs.get("pgscan_direct", ABSENT),
            vs.get("pgrefill", ABSENT),
            *marks,
            *(round(avg10 * 100) for avg10 in self._psi),
            ABSENT,
            ABSENT,
        )

    def snapshot(
        self, now: int, kind: int, level: int, outcome: Outcome, victim_alive: int, vendor: tuple[int, int]
    ) -> Snapshot:
        """What one wakeup sees; who may be struck is asked for later."""
        return Snapshot._make(
            (
                now,
                kind,
                level,
                self.page_kb,
                outcome,
                victim_alive,
                *self._counters,
                self.memevents,
                self.direct_since_ms,
                self.kswapd_since_ms,
                vendor[0],
                vendor[1],
                (),
                *_NOT_RECORDED,
            )
        )
