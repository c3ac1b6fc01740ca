"""The strike inside the kernel that stands behind the killer: loaded before it is forked, kept in step while it lives.

The steward keeps the kill-list as candidates change and arms it once a killer is live; what the kernel struck while
both of us were stuck is read back here and filed. One backstop serves all killers of one configuration. Where the
kernel allows none it stays empty, says why, and all it is asked for is nothing.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

from ...core.config import DomainKind, MonitorConfig
from ...core.snapshot import NO_OUTCOME
from ...core.vocabulary import ABSENT, ADJ_MAX, Level, WakeupKind
from ...kernel.bpf import Arms, BpfRefused, Guard, Order, disown, load_apart, parent_of, unpin
from ...kernel.bpf import Strike as Struck
from ...kernel.bpf.layout import ARMED, KICK_ONLY, LAPSED, LIST_ROWS, RSS_UNKNOWN, START_UNKNOWN, STRIKE
from ...kernel.domain import Domain, open_domain
from ...kernel.triggers.bpf_kick import reclaims_of
from ...wire.header import Strike
from .registry import Registry

if TYPE_CHECKING:
    from .journal import Journal

MS = 1_000_000
REFILE_S = 0.1  # how often a changing list is written anew at most: sorting thousands takes a millisecond or two
NOTHING_TO_DO = -1.0
# Of the high watermark. What is free is not all for those who wait (CMA, reserves): with 1.8 times the high watermark
# free the kernel's own OOM killer acted on a board of 256 MiB.
FREE_LIMIT_WATERMARKS = 4


class Backstop:
    """`arms` are the descriptors of a loaded program, for the killer that is forked next; None: `refused` says why."""

    def __init__(self, monitor: MonitorConfig, pins: str, arms: Arms | None, refused: str) -> None:
        self.arms = arms
        self.refused = refused
        self.pins = pins
        self.min_adj = monitor.strike_min_adj
        self._mode = KICK_ONLY if monitor.observe or self.min_adj > ADJ_MAX else STRIKE
        self._guard = Guard(arms) if arms is not None else None
        self._live = False
        self._seen = 0  # strikes read back
        self._listed = ABSENT  # Registry.changes as of the last list
        self._listed_at = 0.0

    def arm(self, *never: int) -> None:
        """A killer is live: from here on it is kicked, and struck for if it does not answer; `never` is spared."""
        if self._guard is not None:
            self._guard.never(*never)
            self._live = True
            self._guard.arm(self._mode)

    def keep(self, registry: Registry, journal: Journal) -> float:
        """List candidates anew if they have changed, arm again after a lapse; seconds until more is to do, or -1."""
        guard = self._guard
        if guard is None:
            return NOTHING_TO_DO
        if self._live and (guard.words[ARMED] != self._mode or guard.words[LAPSED]):
            journal.note("strike-lapsed", "a kick stayed unanswered for a whole lease; armed again")
            guard.arm(self._mode)
        if registry.changes == self._listed:
            return NOTHING_TO_DO
        wait = self._listed_at + REFILE_S - monotonic()
        if wait > 0:
            return wait
        changes = registry.changes
        listed = registry.most_expendable(LIST_ROWS, self.min_adj)
        guard.publish([(each.pid, each.adj, each.start_ticks) for each in listed])
        self._listed = changes
        self._listed_at = monotonic()
        return NOTHING_TO_DO

    def take(self, killer_pid: int) -> list[Strike]:
        """Strikes since the last call; killer_pid is who did not answer."""
        if self._guard is None:
            return []
        fresh = self._guard.strikes(self._seen)
        found = [_strike(each, killer_pid) for each in fresh]
        if fresh:
            self._seen = fresh[-1].number + 1
        return found

    def disarm(self) -> None:
        """At once; nothing is struck in the kernel from here on."""
        self._live = False
        if self._guard is not None:
            self._guard.disarm()

    def stand_down(self) -> None:
        """Disarm, take the program out of the kernel, close everything."""
        self.disarm()
        if self._guard is not None and self.arms is not None:
            self._guard.close()
            for fd in self.arms.fds():
                os.close(fd)
            unpin(self.pins)
            self._guard = self.arms = None


def load(root: str, monitor: MonitorConfig, number: int) -> Backstop:
    """Load what this configuration asks for, not armed yet. `number` counts the loads of this steward."""
    pins = os.path.join(parent_of(root), f"{os.getpid()}-{number}")
    try:
        return Backstop(monitor, pins, load_apart(order_of(monitor), root, pins), "")
    except BpfRefused as refusal:
        return Backstop(monitor, pins, None, str(refusal))


def clear(root: str, keep: Backstop) -> list[Strike]:
    """Disarm and remove what dead stewards of this root have left in the kernel; returns what it struck."""
    return [_strike(each, 0) for each in disown(parent_of(root), keep.pins)]


def order_of(monitor: MonitorConfig) -> Order:
    """What a configuration asks for; BpfRefused where it asks for nothing, or for what BPF cannot tell apart."""
    if not monitor.strike:
        raise BpfRefused("strike 0: the configuration switches it off")
    if monitor.domain_kind == DomainKind.MEMCG_V1 and not monitor.domain_psi_path:
        raise BpfRefused("whose reclaim it is only a v2 cgroup can tell, and domain_psi_path names none")
    cgroup = {DomainKind.MEMCG_V1: monitor.domain_psi_path, DomainKind.CGROUP_V2: monitor.domain_path}
    return Order(
        cgroup=cgroup.get(monitor.domain_kind, ""),
        limit_events=reclaims_of(monitor),
        limit_window_ns=monitor.kick_window_ms * MS,
        free_limit_pages=_free_limit_pages(monitor),
        rekick_ns=monitor.kick_gap_ms * MS,
        answer_ns=monitor.strike_answer_ms * MS,
        gap_ns=monitor.strike_gap_ms * MS,
        lease_ns=monitor.strike_lease_ms * MS,
        adj_floor=monitor.strike_min_adj,
    )


def _free_limit_pages(monitor: MonitorConfig) -> int:
    """A task of the whole system that reclaims with more free than this is not short of memory."""
    try:
        domain: Domain = open_domain(monitor)
    except (OSError, ValueError) as error:  # the killer will say the same
        raise BpfRefused(str(error)) from None
    snapshot = domain.sample(0, int(WakeupKind.EVENT), int(Level.MEDIUM), NO_OUTCOME, 0, 1)
    domain.close()
    return max(0, snapshot.watermark_high_pages) * FREE_LIMIT_WATERMARKS


def _strike(found: Struck, killer_pid: int) -> Strike:
    start_ticks = ABSENT if found.start_ticks == START_UNKNOWN else found.start_ticks
    rss_pages = ABSENT if found.rss_pages == RSS_UNKNOWN else found.rss_pages
    return Strike(
        found.at_ns, found.kick_ns, found.pid, start_ticks, found.adj, rss_pages, number=found.number,
        killer_pid=killer_pid,
    )  # fmt: skip
