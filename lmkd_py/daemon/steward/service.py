"""The steward's life after the first fork: hand over, watch, file the trace, answer, keep a killer."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import select
import sys
from errno import ENOMEM
from time import monotonic

from ...core.config import Config
from ...core.vocabulary import ABSENT
from ...kernel.domain import Domain, open_domain
from ...kernel.reserve import Reserve
from ...wire.control import Reply, Request, Verb
from .. import shared as layout
from ..inherited import EXIT_BROKEN, EXIT_DOMAIN_GONE, EXIT_KERNEL_LACKS, EXIT_NO_MEMORY, EXIT_STOPPED, say
from ..shortage import is_shortage
from .backstop import Backstop, clear
from .calm import Calm
from .control import ControlServer
from .discovery import Discovery
from .journal import Journal
from .keeper import Killer, KillerFailed, fork_killer
from .registry import Registry
from .reload import reload
from .replies import status_reply
from .succession import FOREMOST, go_live, hand_over, set_nice
from .turns import Turns

BACKLOG_RETRY_S = 0.005  # how soon a full inbox is tried again
RESCAN_MS = 1000  # at most one scan a second while the killer has something to do
MAX_REFORKS = 20  # killers in a row that did not live for a second


class Service(Turns):
    """Everything between the first armed killer and the end; `serve` returns the exit code."""

    def __init__(self, root: str, config: Config, observe: bool, rows: int, killer: Killer, notify_fd: int,
                 backstop: Backstop, reserve: Reserve) -> None:  # fmt: skip
        super().__init__()
        self.root = root
        self.config = config
        self.observe = observe
        self.generation = 1
        self.rows = rows
        self.killer = killer
        self.backstop = backstop
        self.backstops = 1  # loaded so far
        self.notify_fd = notify_fd
        self.domain: Domain = open_domain(config.monitor)
        self.registry = Registry(rows, config.monitor.sized_candidates)
        self.registry.never.add(killer.pid)
        self.discovery = Discovery(
            root, self.registry, self.domain, bool(config.monitor.scan), config.monitor.scan_min_adj
        )
        self.journal = Journal(root, self.registry)
        self.calm = Calm(self.domain, reserve, self.journal.trace)
        self.control = ControlServer(os.path.join(root, "ctl"), self.answer)
        self.complaint = ""
        self.required_layer = ABSENT  # a reload that would end below it is refused
        self._listed_in = -1.0  # seconds until the kill-list of the kernel is to be written anew
        self._signal_fd = -1
        self._mourned = 0  # pid of a dead killer that has no successor yet
        self._former: Killer | None = None  # ended, but not all of its records are filed
        self._live_ns = 0
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._young_deaths = 0
        self._forked_at = monotonic()
        self._scanned_at = 0.0

    # -- life ---------------------------------------------------------------------------------------------------

    def begin(self, orphan: Killer | None) -> None:
        """Hand everything to the first killer, take over from an orphan, go live."""
        self.discovery.read_file()
        self.discovery.scan()
        for fd in (self.notify_fd, self.control.listener.fileno(), self.discovery.fd, self.registry.deaths.fileno()):
            self.epoll.register(fd, select.EPOLLIN)
        self.take_over(self.killer, orphan)

    def serve(self, signal_fd: int) -> int:
        """Until a signal, a request or a failure ends it."""
        self._signal_fd = signal_fd
        self.epoll.register(signal_fd, select.EPOLLIN)
        code = self.run()
        self._finish()
        return code

    def ready(self, fd: int) -> int:
        """See Turns."""
        if fd == self.killer.pidfd or self.calm.called(self.killer):
            self.calm.end()  # before anything here asks for memory
        if fd == self.notify_fd:
            try:
                os.read(fd, 8)
            except BlockingIOError:
                pass  # read by whoever waited for a new killer in the meantime
            self._take_records()
        elif fd == self.killer.pidfd:
            return self._killer_died()
        elif fd == self._signal_fd:
            self._signals(os.read(fd, 64))
        elif fd == self.control.listener.fileno():
            self.control.accept(self.epoll)
        elif fd == self.discovery.fd:
            if self.discovery.file_changed():
                self.discovery.read_file()
        elif fd == self.registry.deaths.fileno():
            self.discovery.bury()
        else:
            self.control.serve(fd)
        return EXIT_STOPPED

    def make_up(self) -> None:
        """See Turns."""
        if self.broken_off:
            self.backstop.arm(os.getpid(), self.killer.pid, os.getppid())
            self.registry.mend()
            self.discovery.fresh = list(self.registry.processes.values())
            self.broken_off = False
        self._bury_former()
        self._take_records()
        self.discovery.bury()
        self.discovery.read_file()
        self.scan()

    def after_each(self) -> None:
        """See Turns."""
        discovery, registry = self.discovery, self.registry
        registry.assign_sizes()
        outbox = self.killer.outbox
        if outbox is not None:
            try:
                outbox.flush()
            except OSError as error:
                if is_shortage(error):
                    raise
                # Else the killer is gone; its pidfd says so next.
        self._write_down()
        self._file_strikes()
        if discovery.short or registry.short or not self.journal.trace.catch_up():
            discovery.short = registry.short = False
            self.owed = True

    def say_stumbled(self, what: str) -> None:
        """See Turns."""
        self.journal.note("error", what)

    def patience_s(self) -> float:
        """See Turns."""
        return BACKLOG_RETRY_S if self.killer.behind() else self.calm.tend(self.killer, self._listed_in)

    def _file_strikes(self) -> None:
        self._listed_in = self.backstop.keep(self.registry, self.journal)
        self.journal.file_strikes(self.backstop.take(self.killer.pid))

    def _write_down(self) -> None:
        # Names are filed at once, not with the first record: a successor has to explain an orphan's kills, too.
        for process in self.discovery.fresh:
            self.journal.name(process)
        for complaint in self.discovery.complaints:
            self.journal.note("refused", complaint)
        self.discovery.fresh.clear()
        self.discovery.complaints.clear()

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
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
        return status_reply(self.killer, self.journal, self.config, self.generation, self.journal.kills, text)

    def _finish(self) -> None:
        self.backstop.disarm()
        words = self.killer.shared.words
        words[layout.MODE] = layout.STOP
        if self.killer.outbox is not None:
            self.killer.outbox.kick()
        self.killer.wait_end(1.0)
        self.killer.end()
        self._take_records()
        self._file_strikes()
        self.backstop.stand_down()
        self.journal.note("stopped", "clean stop")
        self.journal.close()
        self.control.close()

    # -- records ------------------------------------------------------------------------------------------------

    def _take_records(self) -> None:
        kills = self.journal.file_records(self.killer)
        if self.killer.demoted():
            self.registry.tell_again()
        self.journal.count_oom_kills(self.domain)
        now = monotonic()
        if kills or now - self._scanned_at > RESCAN_MS / 1000:
            self._scanned_at = now
            self.scan()

    def scan(self) -> None:
        """Look at every member of the domain, unless it is gone."""
        try:
            self.discovery.scan()
        except OSError as error:
            self.discovery.short = self.discovery.short or is_shortage(error)
            # Else the domain is gone; the killer ends and says so.

    # -- killers ------------------------------------------------------------------------------------------------

    def _killer_died(self) -> int:
        dead = self.killer
        dead.reap()
        code = dead.shared.words[layout.EXIT_CODE]
        if code == EXIT_DOMAIN_GONE:
            self.complaint = f"{self.config.monitor.domain_path}: the guarded domain is gone"
            return EXIT_DOMAIN_GONE
        if self._mourned != dead.pid:
            self._young_deaths = self._young_deaths + 1 if monotonic() - self._forked_at < 1.0 else 0
            self._mourned = dead.pid
            self.journal.note("killer-died", f"killer {dead.pid} ended; forking another", dead.pid)
        if self._young_deaths > MAX_REFORKS:
            self.complaint = f"{MAX_REFORKS} killers in a row died young"
            return EXIT_KERNEL_LACKS
        try:
            self.take_over(self.fork(), dead)
        except KillerFailed as failure:
            if failure.code in (EXIT_NO_MEMORY, EXIT_BROKEN):
                self._young_deaths += failure.code == EXIT_BROKEN
                raise OSError(ENOMEM, str(failure)) from None  # once more, when there may be memory
            self.complaint = str(failure)
            return failure.code
        return EXIT_STOPPED

    def take_over(self, killer: Killer, former: Killer | None) -> None:
        """Everything to `killer`, then it is the one that is live; `former` may be ours, dead, or an orphan.

        Where that fails, `killer` has been ended; whoever goes on has to be told everything again.
        """
        try:
            hand_over(self.registry, killer)
            self.journal.begin(self.config, self.generation, killer, self.domain.describe())
            self.epoll.register(killer.pidfd, select.EPOLLIN)
            self._listed_in = self.backstop.keep(self.registry, self.journal)
            if former is not None:
                set_nice(FOREMOST)  # nobody guards until the new one is live
                former.end()
        except BaseException:
            set_nice(self._nice)
            self.registry.outbox = None
            self.registry.never.discard(killer.pid)
            killer.end()
            killer.close()
            raise
        if former is not None and former.child:
            self.epoll.unregister(former.pidfd)
        self.killer, self._former = killer, former
        self._live_ns = go_live(killer, former)
        set_nice(self._nice)
        try:
            self.backstop.arm(os.getpid(), self.killer.pid, os.getppid())
            self.journal.file_strikes(clear(self.root, self.backstop))
            self._bury_former()
            self.journal.count_oom_kills(self.domain)
            self._write_down()
        except (OSError, MemoryError):
            self.owed = self.broken_off = True

    def _bury_former(self) -> None:
        former = self._former
        if former is not None:
            self.journal.file_records(former)
            text = f"killer {former.pid} ended, killer {self.killer.pid} live"
            self.journal.note("handover", text, self.killer.pid, self._live_ns)
            self._former = None
            self.registry.never.discard(former.pid)
            former.close()

    def fork(self, required_layer: int = ABSENT) -> Killer:
        """A killer for the configuration of now, armed in stand-by; KillerFailed."""
        never = tuple(self.registry.never)
        killer = fork_killer(self.root, self.config, self.generation, self.rows, never, self.notify_fd, self.backstop,
                             required_layer, self.calm.pool.reserve)  # fmt: skip
        self._forked_at = monotonic()
        self.registry.never.add(killer.pid)
        return killer
