"""The strike inside the kernel, which acts when the killer does not: loaded before the killer is forked.

The steward keeps the kill-list in step with the candidates. strike_filing.py files what the kernel struck while steward
and killer were both stuck. One KernelStrike serves all killers of one configuration. Where the kernel allows none it
stays empty and says why; its methods then do nothing.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

from ....core.config import DomainKind, MonitorConfig
from ....core.snapshot import NO_OUTCOME
from ....core.vocabulary import ABSENT, ADJ_MAX, Level, NoteKind, WakeupKind
from ....kernel.bpf import AttachedProgram, BpfRefused, Guard, Order, load_apart, parent_of, unpin
from ....kernel.bpf.layout import ARMED, KICK_ONLY, LAPSED, LIST_ROWS, STRIKE
from ....kernel.sensing.domain import Domain, open_domain
from ....kernel.sensing.triggers.bpf_kick import reclaims_of
from ..candidates.candidates import Candidates
from ..filing.kernel_log import Filing, own_pins

if TYPE_CHECKING:
    from ..filing.journal import Journal

MS = 1_000_000
REFILE_S = 0.1  # how often a changing list is written anew at most: sorting thousands takes a millisecond or two
NOTHING_TO_DO = -1.0
# Of the high watermark. What is free is not all for those who wait (CMA, reserves): with 1.8 times the high watermark
# free the kernel's own OOM killer acted on a board of 256 MiB.
FREE_LIMIT_WATERMARKS = 4


class KernelStrike:
    """`attached`: the loaded program, for the killer that is forked next; None: `refused` says why."""

    def __init__(self, monitor: MonitorConfig, pins: str, attached: AttachedProgram | None, refused: str) -> None:
        self.attached = attached
        self.refused = refused
        self.pins = pins
        self.number = 1  # of this steward's loads
        self.replaces: KernelStrike | None = None  # goes by an older configuration: disarmed as soon as this is armed
        self.min_adj = monitor.strike.min_adj
        self._mode = KICK_ONLY if monitor.observe or self.min_adj > ADJ_MAX else STRIKE
        self._guard = Guard(attached) if attached is not None else None
        self.filing: Filing | None = None  # of what it strikes
        if self._guard is not None:
            self.filing = Filing(self._guard.words, self._guard.log, 0, self.stand_down)
        self._live = False
        self._listed = ABSENT  # Candidates.changes as of the last list
        self._listed_at = 0.0

    def arm(self, steward_pid: int, killer_pid: int, *spared: int) -> None:
        """A killer is live: it is kicked from here on, and struck for if it does not answer. Spares all of these.

        Repeated for the same killer, it forgets no kick: that one may hang.
        """
        if self._guard is not None and self.filing is not None:
            is_same = self._live and self.filing.killer_pid == killer_pid and not self._lapsed(self._guard)
            self._guard.never(steward_pid, killer_pid, *spared)
            self.filing.killer_pid = killer_pid
            self._live = True
            if not is_same:
                self._guard.arm(self._mode)
        former = self.replaces
        while former is not None:
            former.disarm()
            former = former.replaces

    def keep(self, candidates: Candidates, journal: Journal) -> float:
        """List candidates anew if they have changed, arm again after a lapse; seconds until more is to do, or -1."""
        guard = self._guard
        if guard is None:
            return NOTHING_TO_DO
        if self._live and self._lapsed(guard):
            journal.note(NoteKind.STRIKE_LAPSED)
            guard.arm(self._mode)
        if candidates.changes == self._listed:
            return NOTHING_TO_DO
        wait = self._listed_at + REFILE_S - monotonic()
        if wait > 0:
            return wait
        changes = candidates.changes
        listed = candidates.most_expendable(LIST_ROWS, self.min_adj)
        guard.publish([(each.pid, each.adj, each.start_ticks) for each in listed])
        self._listed = changes
        self._listed_at = monotonic()
        return NOTHING_TO_DO

    def _lapsed(self, guard: Guard) -> bool:
        return bool(guard.words[ARMED] != self._mode or guard.words[LAPSED])

    @property
    def kick_fd(self) -> int:
        """Readable while a kick waits for the killer's answer; -1: nobody is kicked."""
        return self.attached.ring_fd if self.attached is not None else -1

    def unanswered(self) -> bool:
        """True while a kick waits for the killer's answer."""
        return self._guard is not None and self._guard.kick() > 0

    def disarm(self) -> None:
        """At once; nothing is struck in the kernel from here on."""
        self._live = False
        if self._guard is not None:
            self._guard.disarm()

    def stand_down(self) -> None:
        """Disarm, take the program out of the kernel, close everything. What a shortage interrupts can be repeated."""
        self.disarm()
        if self._guard is not None and self.attached is not None:
            unpin(self.pins)
            fds = self.attached.fds()  # from here on nothing takes memory
            self._guard.close()
            for fd in fds:
                os.close(fd)
            self._guard = self.attached = self.filing = None


def load_kernel_strike(root: str, monitor: MonitorConfig, number: int) -> KernelStrike:
    """Load what this configuration asks for, not armed yet. `number` counts the loads of this steward."""
    pins = os.path.join(parent_of(root), f"{own_pins()}{number}")
    try:
        made = _mapped(monitor, pins, load_apart(order_of(monitor), root, pins))
    except BpfRefused as refusal:
        made = KernelStrike(monitor, pins, None, str(refusal))
    made.number = number
    return made


def _mapped(monitor: MonitorConfig, pins: str, attached: AttachedProgram) -> KernelStrike:
    fds = attached.fds()
    try:
        return KernelStrike(monitor, pins, attached, "")
    except BaseException:  # there is nobody else to let go of it
        for fd in fds:
            os.close(fd)
        unpin(pins)
        raise


def order_of(monitor: MonitorConfig) -> Order:
    """What a configuration asks for; BpfRefused where it asks for nothing, or for what BPF cannot tell apart."""
    domain, triggers, strike = monitor.domain, monitor.triggers, monitor.strike
    if not strike.enabled:
        raise BpfRefused("strike.enabled 0: the configuration switches it off")
    if domain.kind == DomainKind.MEMCG_V1 and not domain.psi_path:
        raise BpfRefused("attributing reclaim to a v1 memory cgroup needs its v2 twin; set monitor.domain.psi_path")
    cgroup = {DomainKind.MEMCG_V1: domain.psi_path, DomainKind.CGROUP_V2: domain.path}
    return Order(
        cgroup=cgroup.get(domain.kind, ""),
        limit_events=reclaims_of(monitor),
        limit_window_ns=triggers.kick_window_ms * MS,
        free_limit_pages=_free_limit_pages(monitor),
        rekick_ns=triggers.kick_gap_ms * MS,
        answer_ns=strike.answer_ms * MS,
        gap_ns=strike.gap_ms * MS,
        lease_ns=strike.lease_ms * MS,
        adj_floor=strike.min_adj,
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
