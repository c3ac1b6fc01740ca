"""The steward's life after the first fork: hand over, watch, file the trace, answer, keep a killer."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import sys
from errno import ENOMEM
from time import monotonic

from ...core.config import Config, DomainKind
from ...core.notes import Note
from ...core.vocabulary import ABSENT, NoteKind
from ...kernel.protection.reserve import Reserve
from ...kernel.sensing.domain import Domain, DomainChoice, choose, open_domain, resolved
from ...wire.control import Reply, Request, Verb
from ...wire.sentences import sentence
from ..hurry import take_turns
from ..inherited import EXIT_DOMAIN_GONE, EXIT_STOPPED, say
from ..shortage import is_shortage
from ..sight import hidden_processes
from ..slow_closers import SlowClosers
from .candidates.candidate_events import CandidateEvents
from .candidates.candidates import Candidates
from .candidates.discovery import Discovery
from .candidates.swap_sizes import SwapSizes
from .clients.control import ControlServer
from .clients.replies import status_reply, with_losses
from .deferred_work import DeferredWork
from .ending import finish
from .event_loop import EventLoop
from .filing.journal import Journal
from .filing.strike_filing import StrikeFiling
from .handover import Succession
from .killers.burial import Burial
from .killers.keeper import Killer, fork_killer
from .killers.kernel_strike import KernelStrike
from .killers.lost_triggers import LostTriggers
from .killers.succession import hand_over, relieve
from .killers.vacancy import Vacancy
from .paging_out import PagingOut
from .reload import reload, replace_guard, take_swap
from .swaps import SwapWatch

BACKLOG_RETRY_S = 0.005  # how soon a full inbox is tried again


class Steward(EventLoop):
    """Everything between the first armed killer and the end; `serve` returns the exit code."""

    def __init__(self, root: str, config: Config, observe: bool, rows: int, killer: Killer, notify_fd: int,
                 kernel_strike: KernelStrike, reserve: Reserve, control: ControlServer | None = None,
                 auto: DomainChoice | None = None) -> None:  # fmt: skip
        super().__init__()
        self.root = root
        self.auto = auto or choose()  # what domain.kind AUTO stands for
        self.config = config
        self.observe = observe
        self.generation = 1
        self.rows = rows
        self.killer = killer
        self.kernel_strike = kernel_strike
        self.notify_fd = notify_fd
        self.domain: Domain = open_domain(self.guarded.monitor)
        found = config.monitor.discovery
        self.candidates = Candidates(rows, found.sized_candidates)
        self.candidates.never.add(killer.pid)
        self.discovery = Discovery(root, self.candidates, self.domain, bool(found.scan), found.scan_min_adj)
        self.events = CandidateEvents(self.discovery)
        self.sizes = SwapSizes()
        self.journal = Journal(root, self.candidates)
        self.journal.members_age_ms = self.events.members_age_ms
        self.strikes = StrikeFiling(root, self.journal)
        self.swaps = SwapWatch()
        self.paging_out = PagingOut()
        self.deferred = DeferredWork(self.domain, reserve, self.journal.trace)
        self.control = control or ControlServer(os.path.join(root, "ctl"), self.answer)
        self.control.answer = self.answer
        self.domain_is_gone = False
        self.hidden = hidden_processes()
        self.lost = LostTriggers()
        self.vacancy = Vacancy()
        self.succession: Succession | None = None  # a handover that a shortage interrupted when its killer was in force
        self.required_layer = ABSENT  # a reload that would end below it is refused
        self.to_revert_to: Config | None = None  # while a pushed config waits for its confirmation: the former one
        self._listed_in = -1.0  # seconds until the kill-list of the kernel is to be written anew
        self.slow = SlowClosers()
        self.burial = Burial(self.journal, self.candidates, self.slow)

    @property
    def guarded(self) -> Config:
        """The configuration with the domain that AUTO stands for."""
        return self.config._replace(monitor=resolved(self.config.monitor, self.auto))

    def notes(self) -> list[Note]:
        """What is to be known from the start, beside what the killer says: what AUTO came to, whom /proc hides."""
        chosen = Note(kind=NoteKind.DOMAIN_CHOSEN, text=self.auto.describe(), number=self.auto.sign)
        return [*([chosen] if self.config.monitor.domain.kind == DomainKind.AUTO else []), *self.hidden]

    # -- life ---------------------------------------------------------------------------------------------------

    def begin(self, orphan: Killer | None, dead: list[Killer] | None = None) -> None:
        """Hand everything to the first killer, take over from an orphan, go live; file what the dead have left."""
        for each in dead or ():
            self.burial.add(each)
        self.events.begin()
        self.watch(self.notify_fd, self._notified)
        self.watch(self.discovery.fd, self.discovery.heed)
        self.watch(self.events.fd, lambda _: self.events.serve())
        self.control.be_watched(self)
        self.swaps.be_watched(self, self.swaps.heed)
        self.journal.be_watched(self)
        self.take_over(self.killer, orphan)

    def serve(self, signal_fd: int) -> int:
        """Until a signal or a request ends it, or what is guarded is gone: EXIT_DOMAIN_GONE, control still open."""
        self.watch(signal_fd, self._signals)
        self.run()
        finish(self)
        return EXIT_DOMAIN_GONE if self.domain_is_gone else EXIT_STOPPED

    def lose_domain(self) -> None:
        """Nothing is left to guard: the end of this steward's work, though not of the daemon's."""
        self.domain_is_gone = self.stopping = True
        self.tell(Note(kind=NoteKind.DOMAIN_GONE, subject=self.guarded.monitor.domain.path))

    def tell(self, note: Note) -> None:
        """Write a note into the trace, and in words into the log."""
        self.journal.add(note)
        say(f"lmkd-py: {sentence(note)}", sys.stderr)

    def before_each(self, fd: int) -> None:
        if fd == self.killer.pidfd or self.deferred.sees_new_kill(self.killer):
            self.deferred.postpone()  # before anything here asks for memory

    def _notified(self, fd: int) -> None:
        try:
            os.read(fd, 8)
        except BlockingIOError:
            pass  # read by whoever waited for a new killer in the meantime
        self._take_records()
        self.paging_out.heed()

    def killer_ended(self, fd: int) -> None:
        """A killer's pidfd is up; of a former one that a shortage kept us from unwatching it says nothing new."""
        if fd == self.killer.pidfd:
            self.vacancy.begin(self)
        else:
            self.unwatch(fd)

    def catch_up(self) -> None:
        self.complete()  # first of all: until then maybe nobody guards
        if self.events.watch_due:
            self.events.watch()
        if self.events.forget_strangers() and self.interrupted:
            self.kernel_strike.arm(os.getpid(), self.killer.pid, os.getppid())
            self.candidates.outbox = None if self.vacancy.pid else self.killer.outbox
            self.candidates.mend()
            self.strikes.find_over()
            self.discovery.fresh = list(self.candidates.processes.values())
            self.interrupted = False
        self.catch_up_due = not self.burial.carry_out() or self.catch_up_due or self.interrupted
        self._take_records()
        self.control.bind_again()
        self.events.take_in()
        self.discovery.read_file()
        self.events.scan()

    def after_each(self) -> None:
        discovery, candidates = self.discovery, self.candidates
        self.vacancy.fill(self)
        if self.stopping:
            return
        if not self.vacancy.pid:
            self.lost.tend(self, replace_guard)
            take_swap(self)
            self.slow.tend()
        self.events.tend()
        candidates.assign_sizes()
        outbox = self.killer.outbox
        if outbox is not None:
            try:
                outbox.flush()
            except OSError as error:
                if is_shortage(error):
                    raise
                # Else the killer is gone; its pidfd says so next.
        self.write_down()
        in_doubt = self.interrupted or discovery.has_strangers
        self._listed_in = self.strikes.tend(self.kernel_strike, None if in_doubt else candidates)
        if discovery.short or candidates.short or not self.journal.trace.catch_up() or self.journal.has_recovered():
            discovery.short = candidates.short = False
            self.catch_up_due = True
        self.paging_out.tend(self)

    def report_failure(self, what: str) -> None:
        self.journal.note(NoteKind.ERROR, what)

    def patience_s(self) -> float:
        if self.killer.behind() or self.candidates.unfinished:
            return BACKLOG_RETRY_S
        trace_s = self.journal.trace.wait_s()
        tended = (self.vacancy,) if self.vacancy.pid else (self.lost, self.swaps, self.slow, self.paging_out)
        others_s = (trace_s, *(each.wait_s() for each in tended))
        other_s = self.deferred.tend(self.killer, self._listed_in, *others_s)
        return self.events.patience_s(self.journal.names.patience_s(other_s))

    def write_down(self) -> None:
        """Names and complaints, as far as they are new."""
        self.journal.names.take(self.discovery)
        for complaint in self.discovery.complaints.told():
            self.journal.note(NoteKind.REFUSED, complaint)
        self.discovery.complaints.clear()

    def _signals(self, fd: int) -> None:
        for number in os.read(fd, 64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self.stopping = True
            elif number == signal.SIGHUP:
                refused = reload(self)
                if refused:
                    say(f"lmkd-py: reload refused, the old config stays: {refused}", sys.stderr)

    def answer(self, request: Request) -> Reply:
        """Carry out one request of the control socket; the reply always says how things stand."""
        text = ""
        if request.verb == Verb.STOP:
            self.stopping = True
        elif request.verb == Verb.RELOAD:
            text = reload(self)
        elif request.verb != Verb.STATUS:
            text = f"found verb {request.verb}, wanted STATUS, RELOAD or STOP"
        reply = status_reply(self.killer, self.journal, self.config, self.generation, self.journal.kills, text)
        notes = [*self.journal.holds.notes(), *self.paging_out.notes(), *self.notes()]
        return with_losses(reply, self.lost, self.vacancy, notes)._replace(domain_kind=self.domain.kind)

    def _take_records(self) -> None:
        self.journal.file_records(self.killer)
        self.journal.count_oom_kills(self.domain)
        self.journal.holds.tell(self.journal.add, self.domain)
        self.journal.names.read_again(everybody=self.events.after_records(self.killer))
        self.sizes.tend(self.candidates, self.domain, self.killer.pid)

    # -- killers ------------------------------------------------------------------------------------------------

    def take_over(self, killer: Killer, former: Killer | None) -> None:
        """Everything to `killer`, then it is the one that is live; `former` may be ours, dead, or an orphan.

        Where that fails, `killer` has been ended; whoever goes on has to be told everything again. KillerFailed: it was
        dead or broken, and `former` guards on.
        """
        begun = self.journal.begun
        try:
            succession = Succession(killer, former)
            self.events.take_in()
            if not self.events.forget_strangers():
                raise OSError(ENOMEM, "the domain's candidates could not be looked for")
            hand_over(self.candidates, killer, former)
            self.journal.begin(self.config, self.generation, killer, self.domain)
            for note in self.notes():
                self.journal.add(note)
            self.journal.note(NoteKind.CANDIDATES, self.events.note)
            self.watch(killer.pidfd, self.killer_ended)
            self._listed_in = self.kernel_strike.keep(self.candidates, self.journal)
            if former is not None:
                relieve(killer, former)
        except BaseException:
            take_turns()
            self.journal.begin_again(begun)
            self.candidates.outbox = None
            self.candidates.never.discard(killer.pid)
            self.unwatch(killer.pidfd)
            try:
                killer.end()
            finally:
                killer.close()
            raise
        # From here on the new killer is in force, and nothing drops it: what fails is done again by catch_up().
        self.killer, self.succession, self.vacancy.pid = killer, succession, 0
        try:
            self.complete()
        except (OSError, MemoryError):
            self.catch_up_due = self.interrupted = True

    def complete(self) -> None:
        """Do what the last handover has left to do. OSError, MemoryError: again later."""
        if self.succession is not None:
            self.succession.carry_out(self)
            self.succession = None

    def fork(self, required_layer: int = ABSENT) -> Killer:
        """A killer for the configuration of now, armed in stand-by; KillerFailed."""
        never = tuple(self.candidates.never)
        killer = fork_killer(self.root, self.guarded, self.generation, self.rows, never, self.notify_fd,
                             self.kernel_strike, required_layer, self.deferred.pool.reserve)  # fmt: skip
        self.vacancy.forked_at = monotonic()
        self.candidates.never.add(killer.pid)
        return killer
