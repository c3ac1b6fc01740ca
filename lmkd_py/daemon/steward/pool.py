"""Layer 2: the steward's private pool. It goes back to the kernel before the steward acts in a shortage, and returns
when all is calm.

Filing a kill, looking for candidates, forking another killer: all of that needs memory, and asking for it in a
shortage means to wait for it. What the pool gave back is there to be had at once, unless somebody else is quicker.
"""

from __future__ import annotations

from ...core.config import DomainConfig, DomainKind, MonitorConfig
from ...core.snapshot import NO_OUTCOME, Snapshot
from ...core.vocabulary import ABSENT, Level, WakeupKind
from ...kernel.protection.reserve import Reserve
from ...kernel.sensing.domain import Domain, open_domain

STEP_KB = 256


class Pool:
    """When `reserve` is given back, and when it is taken again."""

    def __init__(self, reserve: Reserve) -> None:
        self.reserve = reserve
        self.host: Domain | None = None  # where the pages come from
        try:
            self.host = open_domain(MonitorConfig(domain=DomainConfig(kind=DomainKind.SYSTEM)))
        except (OSError, ValueError):
            pass

    @property
    def is_away(self) -> bool:
        """Whether the pool has been given back and not taken again."""
        return bool(self.reserve.active and not self.reserve.locked)

    def give_back(self) -> None:
        """Memory is short, or is about to be asked for in a hurry."""
        self.reserve.give_back()

    def refill(self) -> None:
        """As far as there is room: never below the host's low watermark, above which nobody reclaims or waits."""
        left_kb = self.reserve.kb - (self.reserve.present >> 10)
        room_kb = left_kb if self.host is None else spare_kb(look(self.host))
        try:
            while left_kb > 0 and room_kb > STEP_KB:
                if self.reserve.take(STEP_KB << 10):
                    return
                left_kb -= STEP_KB
                room_kb -= STEP_KB
        except OSError:
            self.reserve.give_back()  # the limit on locked memory was lowered, or memory ran out: another time

    def close(self) -> None:
        """Unlock and close everything."""
        self.reserve.close()
        if self.host is not None:
            self.host.close()

    def resize(self, kb: int) -> None:
        """Take a pool of another size, as a new configuration asks."""
        if kb != self.reserve.asked_kb:
            self.reserve.close()
            self.reserve = Reserve(kb)


def look(domain: Domain) -> Snapshot:
    """A snapshot of the domain now."""
    return domain.sample(0, int(WakeupKind.POLL), int(Level.LOW), NO_OUTCOME, 0, 1)


def spare_kb(snapshot: Snapshot) -> int:
    """Free memory above the low watermark in kB; 0 if unknown."""
    if ABSENT in (snapshot.mem_free_kb, snapshot.watermark_low_pages):
        return 0
    return snapshot.mem_free_kb - snapshot.watermark_low_pages * snapshot.page_kb
