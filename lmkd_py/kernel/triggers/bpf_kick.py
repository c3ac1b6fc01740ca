"""The kick of the BPF program: tasks of the domain reclaim beyond the limit, told within a millisecond.

It wants an answer behind each evaluation, whatever that came to: a kick that stays unanswered makes the kernel strike.
No re-kick comes before the answer, so what is outstanding when we answer is what woke us.
"""

from __future__ import annotations

from ...core.config import DomainKind, MonitorConfig
from ...core.vocabulary import Level
from ..bpf import KillerGuard
from ..poll import POLLIN
from .trigger import ANSWERED, Trigger

NAME = "bpf kick"
SYSTEM_SHARE = 5


class KickWatch:
    """Answers for the killer."""

    def __init__(self, guard: KillerGuard) -> None:
        self.guard = guard

    def fired(self) -> int:
        """Kill path: answer the outstanding kick and make the ring quiet; MEDIUM."""
        guard = self.guard
        guard.answer(guard.kick())
        return int(Level.MEDIUM)


def reclaims_of(monitor: MonitorConfig) -> int:
    """How many reclaims make a kick: a cgroup reclaims all the time, the whole system only when kswapd is beaten."""
    if monitor.domain_kind != DomainKind.SYSTEM:
        return monitor.kick_reclaims
    return max(1, monitor.kick_reclaims // SYSTEM_SHARE)


def trigger(guard: KillerGuard, monitor: MonitorConfig) -> Trigger:
    """The kick among the other triggers."""
    effective = f"{NAME} {reclaims_of(monitor)} reclaims in {monitor.kick_window_ms} ms"
    return Trigger(NAME, guard.ring_fd, POLLIN, int(Level.MEDIUM), ANSWERED, effective, watch=KickWatch(guard))
