"""The kick of the BPF program: tasks of the domain reclaim beyond the limit, told within a millisecond.

It wants an answer behind each evaluation, whatever that came to: a kick that stays unanswered makes the kernel strike.
No re-kick comes before the answer, so what is outstanding when we answer is what woke us.
"""

from __future__ import annotations

from ....core.config import DomainKind, MonitorConfig
from ....core.numbers import MEDIUM_LEVEL
from ...acting.poll import POLLIN
from ...bpf import KillerGuard
from .trigger import ANSWERED, Trigger

NAME = "bpf kick"
SYSTEM_SHARE = 5


class KickWatch:
    """Answers kicks on behalf of the killer."""

    gone = 0  # the program's ring outlives every cgroup

    def __init__(self, guard: KillerGuard) -> None:
        self.guard = guard

    def fired(self) -> int:
        """Kill path: answer the outstanding kick and make the ring quiet; MEDIUM."""
        guard = self.guard
        guard.answer(guard.kick())
        return MEDIUM_LEVEL


def free_pages(trigger: Trigger) -> int:
    """Kill path: pages that were free when the kernel kicked, CMA included; 0: unknown. No system call."""
    watch = trigger.watch
    return watch.guard.free_pages() if isinstance(watch, KickWatch) else 0


def reclaims_of(monitor: MonitorConfig) -> int:
    """How many reclaims make a kick: a cgroup reclaims all the time, the whole system only when kswapd is beaten."""
    if monitor.domain.kind in (DomainKind.MEMCG_V1, DomainKind.CGROUP_V2):
        return monitor.triggers.kick_reclaims
    return max(1, monitor.triggers.kick_reclaims // SYSTEM_SHARE)


def trigger(guard: KillerGuard, monitor: MonitorConfig) -> Trigger:
    """The kick as a Trigger: readable when BPF has kicked."""
    settings = f"{reclaims_of(monitor)} reclaims in {monitor.triggers.kick_window_ms} ms"
    return Trigger(NAME, guard.ring_fd, POLLIN, MEDIUM_LEVEL, ANSWERED, settings, watch=KickWatch(guard))
