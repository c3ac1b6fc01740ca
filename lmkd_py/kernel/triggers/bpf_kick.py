"""The kick of the BPF program: tasks of the domain reclaim beyond the limit, told within a millisecond.

It wants an answer behind each evaluation, whatever that came to: a kick that stays unanswered makes the kernel strike.
No re-kick comes before the answer, so what is outstanding when we answer is what woke us.
"""

from __future__ import annotations

from ...core.config import MonitorConfig
from ...core.vocabulary import Level
from ..bpf import KillerGuard
from ..poll import POLLIN
from .trigger import ANSWERED, Trigger

NAME = "bpf kick"


class KickWatch:
    """Answers for the killer."""

    def __init__(self, guard: KillerGuard) -> None:
        self.guard = guard

    def fired(self) -> int:
        """Kill path: answer the outstanding kick and make the ring quiet; MEDIUM."""
        guard = self.guard
        guard.answer(guard.kick())
        return int(Level.MEDIUM)


def trigger(guard: KillerGuard, monitor: MonitorConfig) -> Trigger:
    """The kick among the other triggers."""
    effective = f"{NAME} {monitor.kick_reclaims} reclaims in {monitor.kick_window_ms} ms"
    return Trigger(NAME, guard.ring_fd, POLLIN, int(Level.MEDIUM), ANSWERED, effective, watch=KickWatch(guard))
