"""Layer 2: the steward's private pool. It goes back to the kernel before the steward acts in a shortage, and returns
when all is calm.

Filing a kill, looking for candidates, forking another killer: all of that needs memory, and asking for it in a
shortage means to wait for it. What the pool gave back is there to be had at once, unless somebody else is quicker.
"""

from __future__ import annotations

from time import monotonic

from ...core.config import MonitorConfig
from ...core.snapshot import NO_OUTCOME, Snapshot
from ...core.vocabulary import ABSENT, Level, WakeupKind
from ...kernel.domain import Domain, open_domain
from ...kernel.reserve import Reserve
from .. import shared as layout
from .keeper import Killer

LOOK_S = 1.0  # between two looks whether it is calm; only while the pool is not whole
CALM_S = 3.0  # since memory was last short
STALL_PCT = 1  # of the time since the last look: so much waiting for memory is still calm
STEP_KB = 256


class Pool:
    """`reserve` and when it comes and goes; `domain` is the guarded one."""

    def __init__(self, reserve: Reserve, domain: Domain) -> None:
        self.reserve = reserve
        self.domain = domain
        self.host: Domain | None = None  # where the pages come from
        try:
            self.host = open_domain(MonitorConfig())
        except (OSError, ValueError):
            pass
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

    def give_back(self) -> None:
        """Memory is short, or is about to be asked for in a hurry."""
        self.reserve.give_back()
        self._short_s = self._looked_s = monotonic()
        self._stalled_us = ABSENT

    def tend(self, killer: Killer, other_s: float) -> float:
        """Take some of it again if it is calm; seconds until the next look (-1: none), or other_s if that is sooner."""
        look_s = self._tend(killer)
        return look_s if other_s < 0 else other_s if look_s < 0 else min(look_s, other_s)

    def _tend(self, killer: Killer) -> float:
        if not self.reserve.active or self.reserve.locked:
            return -1.0
        if self.called(killer):
            self.give_back()
        now = monotonic()
        due_s = self._looked_s + LOOK_S - now
        if due_s > 0:
            return due_s
        return -1.0 if self._calm(now) and self._refill() else LOOK_S

    def resize(self, kb: int) -> None:
        """Another size, from a new configuration."""
        if kb != self.reserve.kb:
            self.reserve.close()
            self.reserve = Reserve(kb)

    def _calm(self, now: float) -> bool:
        # Nobody was to be killed lately, tasks of the domain do not wait for memory, and it has enough.
        snapshot = _look(self.domain)
        stalled, former = snapshot.psi_mem_some_total_us, self._stalled_us
        elapsed_us = (now - self._looked_s) * 1_000_000
        self._looked_s, self._stalled_us = now, stalled
        if now - self._short_s < CALM_S:
            return False
        if stalled != ABSENT and (former == ABSENT or (stalled - former) * 100 > elapsed_us * STALL_PCT):
            return False
        return _spare_kb(snapshot) > 0

    def _refill(self) -> bool:
        # Never below the host's low watermark: above it nobody reclaims, and so nobody waits.
        left_kb = self.reserve.kb - (self.reserve.present >> 10)
        spare_kb = left_kb if self.host is None else _spare_kb(_look(self.host))
        try:
            while left_kb > 0 and spare_kb > STEP_KB:
                if self.reserve.take(STEP_KB << 10):
                    return True
                left_kb -= STEP_KB
                spare_kb -= STEP_KB
        except OSError:
            self.reserve.give_back()  # the limit on locked memory was lowered, or memory ran out: another time
        return False


def _look(domain: Domain) -> Snapshot:
    return domain.sample(0, int(WakeupKind.POLL), int(Level.LOW), NO_OUTCOME, 0, 1)


def _spare_kb(snapshot: Snapshot) -> int:
    """What is free above the low watermark."""
    if ABSENT in (snapshot.mem_free_kb, snapshot.watermark_low_pages):
        return 0
    return snapshot.mem_free_kb - snapshot.watermark_low_pages * snapshot.page_kb
