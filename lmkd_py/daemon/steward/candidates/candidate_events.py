"""Keeps the list of candidates current: by the kernel's events where they can be had, else by looking at everybody.

Nothing happens, nobody wakes: a board that is idle is left alone. A build forks thousands of times a second: events
wait until somebody looks, at most ten times a second, and by then most of those who were born have died.
"""

from __future__ import annotations

import os
import select
from time import monotonic
from typing import TYPE_CHECKING

from ....core.config import DomainKind
from ....core.vocabulary import ABSENT
from ....kernel.bpf import BpfRefused, parent_of
from ....kernel.bpf.watch import watch_processes
from ... import shared as layout
from ...shortage import is_shortage
from ..filing.kernel_log import EVENTS, own_pins
from .discovery import Discovery

if TYPE_CHECKING:
    from ....kernel.bpf.watch import ProcessWatch
    from ....kernel.sensing.proc_connector import ProcConnector
    from ..killers.keeper import Killer
    from ..killers.kernel_strike import KernelStrike

GAP_S = 0.1  # between two looks at what happened, at least
COST = 20  # and so many times as long as the last look took
LOOK_GAP_S, SCAN_GAP_S = 0.1, 1.0  # between two looks at everybody: when nobody was found to strike, and else
SCAN_S = 10.0  # how often everybody is looked at where events do not tell all
KICK_GAP_S = 1.0  # between two looks at the kernel's kicks
ANSWER_S = 0.1  # a kick unanswered for so long: the killer is stuck, and the kernel strikes from the list we keep
NEVER = float("inf")


class CandidateEvents:
    """`fd` is readable when there is something to serve(); tend() does what is due by time, within patience_s()."""

    def __init__(self, discovery: Discovery) -> None:
        self.discovery = discovery
        self.source: ProcessWatch | ProcConnector | None = None
        self.note = ""  # how candidates are kept current, for the trace
        self.watch_due = False  # a shortage kept us from listening: watch() is to be called again
        self.looks = self.scans = 0  # how often: at those to whom something happened, at everybody
        self._poll = select.epoll()
        self.fd = self._poll.fileno()
        self._deaths_fd = discovery.candidates.deaths.fileno()
        self._poll.register(self._deaths_fd, select.EPOLLIN)
        self._opens = NEVER  # when what happens is listened to again
        self._scanned = -SCAN_GAP_S
        self._scans_ms = (0, 0)  # when the last two began
        self._scan_due = NEVER
        self._kernel_strike: KernelStrike | None = None
        self._kick_fd = -1
        self._kick_opens = self._kick_due = NEVER
        self._vain = (0, 0)  # pid of a killer, and how often it found nobody to strike

    @property
    def complete(self) -> bool:
        """True while events tell everything, so that nobody has to be looked for."""
        return self.source is not None and self.source.complete

    def members_age_ms(self, at_ms: int) -> int:
        """From the last look at who is in the guarded cgroup to that time (CLOCK_MONOTONIC); ABSENT: moves are told."""
        discovery = self.discovery
        if self.complete or not discovery.scanning or discovery.domain.kind == DomainKind.SYSTEM:
            return ABSENT
        return min((at_ms - scan_ms for scan_ms in self._scans_ms if scan_ms <= at_ms), default=ABSENT)

    def watch(self) -> None:
        """Listen to what happens in the domain that is guarded now; before its first scan."""
        self.watch_due = True
        self.close_source()
        if not self.discovery.scanning:
            self.note = "candidates: those that are registered"
            self.watch_due = False
            return
        try:
            source = self._open()
        except (BpfRefused, OSError) as why:
            if isinstance(why, OSError) and is_shortage(why):
                raise
            self.note = f"candidates: looked for every {SCAN_S:g} s: {why}"
            self.watch_due = False
            return
        try:
            self._poll.register(source.fd, select.EPOLLIN)
        except BaseException:
            source.close()
            raise
        self.source, self.watch_due = source, False

    def _open(self) -> ProcessWatch | ProcConnector:
        discovery = self.discovery
        refused = ""
        try:
            source = watch_processes(max(0, discovery.scan_min_adj), discovery.domain.placed(), self._pins())
            self.note = "candidates: kept current by process events (BPF)"
            return source
        except BpfRefused as refusal:
            refused = str(refusal)
        from ....kernel.sensing.proc_connector import ProcConnector  # only who needs it pays for it

        try:
            connector = ProcConnector()
        except OSError as error:
            raise BpfRefused(f"{refused}; {error.strerror or error}") from None
        self.note = f"candidates: births by the proc connector, all else looked for every {SCAN_S:g} s: {refused}"
        return connector

    def _pins(self) -> str:
        try:
            return f"{parent_of(os.path.dirname(self.discovery.path))}/{own_pins()}{EVENTS}"
        except OSError:
            return ""

    def close_source(self) -> None:
        """Close the source of events; listen() can open another."""
        source, self.source = self.source, None  # first: one that is half closed must not be asked
        self.discovery.kernel_threads.clear()  # until the next one is open births are not told
        if source is not None:
            self._poll.unregister(source.fd)
            source.close()

    def close(self) -> None:
        """Close the source and the poll set."""
        self.close_source()
        self._poll.close()

    def begin(self) -> None:
        """Everything as it is now. OSError: the domain is gone, or memory is."""
        self.watch()
        self.discovery.read_file()
        self._scan()

    # -- what happened --------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Take in what happened; then nothing is listened to for a while."""
        began = monotonic()
        if any(fd == self._kick_fd for fd, _ in self._poll.poll(0)):
            self._kicked(began)
        self.take_in()
        now = monotonic()
        self._opens = now + max(GAP_S, COST * (now - began))
        self._listen(0)

    def take_in(self) -> None:
        """Bury the dead, look at whom something happened to."""
        self.discovery.bury()
        if self.source is None:
            return
        pids, lost = self.source.drain()
        # Before Linux 5.19 a helper of the kernel's (who takes a core dump) passes for a thread of it until it execs.
        pids |= self.source.renamed & self.discovery.kernel_threads
        if lost or self.source.is_blurred():
            self.discovery.kernel_threads.clear()
            self._want_scan(SCAN_GAP_S)
        processes = self.discovery.candidates.processes
        self.discovery.renamed += [processes[pid] for pid in self.source.renamed if pid in processes]
        if not pids:
            return
        self.looks += 1
        self.source.mark(pids)
        if not self.complete:  # who was born gets the oom_score_adj it is to have later
            self._scan_due = min(self._scan_due, monotonic() + SCAN_GAP_S)
        try:
            self.discovery.look(pids)
        except OSError as error:
            self._could_not(error)

    def _listen(self, events: int) -> None:
        self._poll.modify(self._deaths_fd, events)
        if self.source is not None:
            self._poll.modify(self.source.fd, events)

    # -- everybody ------------------------------------------------------------------------------------------------

    def scan(self) -> None:
        """Look at every member of the domain, unless it is gone."""
        try:
            self._scan()
        except OSError as error:
            self._could_not(error)

    def forget_strangers(self) -> bool:
        """Have the candidates be those of the domain that is followed now; False where it could not be looked at."""
        if self.discovery.has_strangers:
            self.scan()
        return not self.discovery.has_strangers

    def _scan(self) -> None:
        self.scans += 1
        self._scanned = monotonic()  # first of all: what fails is not tried again at once
        self._scan_due = NEVER if self.complete or not self.discovery.scanning else self._scanned + SCAN_S
        if self.source is not None:
            # Who comes or leaves in between is marked when the scan itself asks who is there.
            self.source.mark_anew(self.discovery.domain.members())
        else:  # births are not told
            self.discovery.kernel_threads.clear()
        began_ms = int(monotonic() * 1000)
        self.discovery.scan()
        self._scans_ms = (self._scans_ms[1], began_ms)

    def _could_not(self, error: OSError) -> None:
        # Unless it is for want of memory the domain is gone; the killer ends and says so.
        self.discovery.short = self.discovery.short or is_shortage(error)

    def _want_scan(self, gap_s: float) -> None:
        self._scan_due = min(self._scan_due, max(monotonic(), self._scanned + gap_s))

    def tend(self) -> None:
        """Do what is due; patience_s() says when that is."""
        now = monotonic()
        if now >= self._opens:
            self._opens = NEVER
            self._listen(select.EPOLLIN)
            if self._poll.poll(0):
                self.serve()
        if now >= self._kick_due:
            self._kick_due = NEVER
            if self._kernel_strike is not None and self._kernel_strike.unanswered():
                self._want_scan(0)
        if now >= self._kick_opens:
            self._listen_to_kicks()
        if now >= self._scan_due:
            self.scan()

    def patience_s(self, other_s: float) -> float:
        """Seconds until something is due (below 0: nothing is), or other_s if that is sooner."""
        due = min(self._opens, self._scan_due, self._kick_due, self._kick_opens)
        if due == NEVER:
            return other_s
        wait = max(0.0, due - monotonic())
        return wait if other_s < 0 else min(wait, other_s)

    # -- the killer and the kernel --------------------------------------------------------------------------------

    def after_records(self, killer: Killer) -> bool:
        """The killer had something to do: memory is short, nobody may be missing. True where new names are not told.

        Where events tell everything a look at everybody finds nothing new, and takes CPU from those who wait.
        """
        words = killer.shared.words
        vain = (killer.pid, (words[layout.CALLS] - words[layout.KILLS]) & layout.WORD_MASK)
        in_vain, self._vain = vain != self._vain and vain[1] > 0, vain
        demoted = killer.demoted()
        self._want_scan(0 if demoted else LOOK_GAP_S if in_vain or not self.complete else SCAN_S)
        self.tend()
        if demoted:  # it went by what it read itself, which we know by now, too
            self.discovery.candidates.tell_again()
        return not self.complete

    def heed_kicks(self, kernel_strike: KernelStrike) -> None:
        """Notice when a kick of the kernel stays unanswered. Call it before the former one stands down."""
        former, self._kick_fd = self._kick_fd, -1
        if former >= 0:
            try:
                self._poll.unregister(former)
            except OSError:
                pass  # it is closed, and so not in the set any more
        self._kernel_strike, self._kick_due = kernel_strike, NEVER
        self._listen_to_kicks()

    def _listen_to_kicks(self) -> None:
        # Where the kernel refuses, tend() tries again: the steward can do without for a while.
        self._kick_opens = NEVER
        fd = self._kernel_strike.kick_fd if self._kernel_strike is not None else -1
        if fd < 0:
            return
        try:
            if fd == self._kick_fd:
                self._poll.modify(fd, select.EPOLLIN)
            else:
                self._poll.register(fd, select.EPOLLIN)
                self._kick_fd = fd
        except OSError:
            self._kick_opens = monotonic() + KICK_GAP_S

    def _kicked(self, now: float) -> None:
        self._poll.modify(self._kick_fd, 0)
        self._kick_due, self._kick_opens = now + ANSWER_S, now + KICK_GAP_S
        if not self.complete:
            self._want_scan(LOOK_GAP_S)
