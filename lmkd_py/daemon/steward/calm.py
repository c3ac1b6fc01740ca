"""What waits for calm: the private pool is taken again, and kills that were filed go to the disk.

Calm: nobody was to be killed for some seconds, tasks of the domain do not wait for memory, and it has enough. Looked at
once a second, and only while something waits for it. Both would make things worse before: memory is asked for, and
writing to a disk may wait for memory itself.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from ...core.vocabulary import ABSENT
from ...kernel.domain import Domain
from ...kernel.reserve import Reserve
from .. import shared as layout
from .pool import Pool, look, spare_kb

if TYPE_CHECKING:
    from .keeper import Killer
    from .trace_file import TraceFile

LOOK_S = 1.0  # between two looks
CALM_S = 3.0  # since memory was last short
STALL_PCT = 1  # of the time since the last look: so much waiting for memory is still calm


class Calm:
    """`domain` is the guarded one."""

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

    def called(self, killer: Killer) -> bool:
        """True if the killer has decided for a kill since it was last asked."""
        calls = killer.shared.words[layout.CALLS]
        if killer.pid != self._killer_pid:
            self._killer_pid, self._calls = killer.pid, 0
        if calls == self._calls:
            return False
        self._calls = calls
        return True

    def end(self) -> None:
        """Memory is short, or is about to be asked for in a hurry."""
        self.pool.give_back()
        self._begin()

    def tend(self, killer: Killer, other_s: float) -> float:
        """Do what waits if it is calm; seconds until the next look (-1: none), or other_s if that is sooner."""
        look_s = self._tend(killer)
        return look_s if other_s < 0 else other_s if look_s < 0 else min(look_s, other_s)

    def _tend(self, killer: Killer) -> float:
        waited, self._waited = self._waited, self._waits()
        if not self._waited:
            return -1.0
        if self.called(killer):
            self.end()
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
        if now - self._short_s < CALM_S:
            return False
        if stalled != ABSENT and (former == ABSENT or (stalled - former) * 100 > elapsed_us * STALL_PCT):
            return False
        return spare_kb(snapshot) > 0
