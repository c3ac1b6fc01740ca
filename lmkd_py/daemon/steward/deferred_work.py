"""Work that is put off until memory is plenty: taking the private pool again, and syncing filed kills to the disk.

It is calm when for some seconds no kill was wanted and no task of the domain waited for memory, and there is enough.
The steward looks once a second, and only while work is pending. Done earlier, both would make the shortage worse: the
pool takes memory, and writing to a disk may wait for memory.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from ...core.vocabulary import ABSENT
from ...kernel.protection.reserve import Reserve
from ...kernel.sensing.domain import Domain
from .. import shared as layout
from .pool import Pool, look, spare_kb

if TYPE_CHECKING:
    from .filing.trace_file import TraceFile
    from .killers.keeper import Killer

LOOK_S = 1.0  # between two looks
CALM_S = 3.0  # since memory was last short
STALL_PCT = 1  # of the time since the last look: so much waiting for memory is still calm


class DeferredWork:
    """Waits until memory in `domain` is plenty again."""

    def __init__(self, domain: Domain, reserve: Reserve, trace: TraceFile) -> None:
        self.domain = domain
        self.pool = Pool(reserve)
        self.trace = trace
        self._waited = False
        self._calls = 0
        self._killer_pid = 0
        self._short_s = 0.0
        self._looked_s = 0.0
        self._stalled_us = ABSENT

    def sees_new_kill(self, killer: Killer) -> bool:
        """True if the killer has decided for a kill since it was last asked."""
        calls = killer.shared.words[layout.CALLS]
        if killer.pid != self._killer_pid:
            self._killer_pid, self._calls = killer.pid, 0
        if calls == self._calls:
            return False
        self._calls = calls
        return True

    def postpone(self) -> None:
        """Memory is short, or the steward is about to ask for some in a hurry."""
        self.pool.give_back()
        self._begin()

    def tend(self, killer: Killer, *others_s: float) -> float:
        """Do what waits if it is calm; seconds until the next look, or the soonest of others_s. Below 0: none."""
        return min((each for each in (self._tend(killer), *others_s) if each >= 0), default=-1.0)

    def _tend(self, killer: Killer) -> float:
        waited, self._waited = self._waited, self._waits()
        if not self._waited:
            return -1.0
        if self.sees_new_kill(killer):
            self.postpone()
        elif not waited:
            self._begin()
        now = monotonic()
        due_s = self._looked_s + LOOK_S - now
        if due_s > 0:
            return due_s
        if not self._is_calm(now):
            return LOOK_S
        if self.trace.unsynced:
            self.trace.sync()
        if self.pool.is_away:
            self.pool.refill()
        return LOOK_S if self._waits() else -1.0

    def _begin(self) -> None:
        self._short_s = self._looked_s = monotonic()
        self._stalled_us = ABSENT

    def _waits(self) -> bool:
        return self.pool.is_away or self.trace.unsynced

    def _is_calm(self, now: float) -> bool:
        snapshot = look(self.domain)
        stalled, former = snapshot.psi_mem_some_total_us, self._stalled_us
        elapsed_us = (now - self._looked_s) * 1_000_000
        self._looked_s, self._stalled_us = now, stalled
        # Not by core.growth: where a look of ours waits for memory itself, tasks stall for longer than was measured,
        # and that would be no growth. A total that jumps only puts the next look off.
        if ABSENT not in (stalled, former) and abs(stalled - former) * 100 > elapsed_us * STALL_PCT:
            self._short_s = now
        return now - self._short_s >= CALM_S and spare_kb(snapshot) > 0
