"""The steward's life after the first fork: hand over, watch, file the trace, answer, keep a killer."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import select
import sys
from time import monotonic

from ...core.config import Config, ConfigError
from ...core.vocabulary import ABSENT
from ...kernel.domain import Domain, open_domain
from ...kernel.reserve import Reserve
from ...wire.control import Reply, Request, Verb
from .. import shared as layout
from ..config_file import load_config
from ..inherited import EXIT_DOMAIN_GONE, EXIT_KERNEL_LACKS, EXIT_STOPPED, say
from .backstop import Backstop, clear, load
from .control import ControlServer
from .discovery import Discovery
from .journal import Journal
from .keeper import Killer, KillerFailed, fork_killer
from .pool import Pool
from .registry import Registry
from .replies import status_reply
from .succession import go_live, hand_over

BACKLOG_RETRY_MS = 5  # how soon a full inbox is tried again
RESCAN_MS = 1000  # at most one scan a second while the killer has something to do
MAX_REFORKS = 20  # killers in a row that did not live for a second


class Service:
    """Everything between the first armed killer and the end; `run` returns the exit code."""

    def __init__(self, root: str, config: Config, observe: bool, rows: int, killer: Killer, notify_fd: int,
                 backstop: Backstop, reserve: Reserve) -> None:  # fmt: skip
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
        self.pool = Pool(reserve, self.domain)
        self.registry = Registry(rows, config.monitor.sized_candidates)
        self.registry.never.add(killer.pid)
        self.discovery = Discovery(
            root, self.registry, self.domain, bool(config.monitor.scan), config.monitor.scan_min_adj
        )
        self.journal = Journal(root, self.registry)
        self.control = ControlServer(os.path.join(root, "ctl"), self.answer)
        self.epoll = select.epoll()
        self.stopping = False
        self.kills = 0
        self.complaint = ""
        self.required_layer = ABSENT  # a reload that would end below it is refused
        self._listed_in = -1.0  # seconds until the kill-list of the kernel is to be written anew
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
        self._take_over(self.killer, orphan)

    def run(self, signal_fd: int) -> int:
        """Until a signal, a request or a failure ends it."""
        self.epoll.register(signal_fd, select.EPOLLIN)
        code = EXIT_STOPPED
        while not self.stopping:
            timeout = BACKLOG_RETRY_MS / 1000 if self.killer.behind() else self.pool.tend(self.killer, self._listed_in)
            for fd, _ in self.epoll.poll(timeout):
                try:
                    code = self._ready(fd, signal_fd)
                except OSError as error:
                    # A disk, a pipe or a file that fails must not take the killer's keeper along.
                    self.journal.note("error", str(error))
                if code != EXIT_STOPPED:
                    self.stopping = True
                    break
            self._file_strikes()
        self._finish()
        return code

    def _ready(self, fd: int, signal_fd: int) -> int:
        if fd == self.killer.pidfd or self.pool.called(self.killer):
            self.pool.give_back()  # before anything here asks for memory
        if fd == self.notify_fd:
            try:
                os.read(fd, 8)
            except BlockingIOError:
                pass  # read by whoever waited for a new killer in the meantime
            self._take_records()
        elif fd == self.killer.pidfd:
            return self._killer_died()
        elif fd == signal_fd:
            self._signals(os.read(fd, 64))
        elif fd == self.control.listener.fileno():
            client = self.control.accept()
            if client is not None:
                self.epoll.register(client, select.EPOLLIN)
        elif fd == self.discovery.fd:
            if self.discovery.file_changed():
                self.discovery.read_file()
        elif fd == self.registry.deaths.fileno():
            self.discovery.bury()
        else:
            self.control.serve(fd)
        return self._after_each()

    def _after_each(self) -> int:
        self.registry.assign_sizes()
        outbox = self.killer.outbox
        if outbox is not None:
            try:
                outbox.flush()
            except OSError:
                pass  # the killer is gone; its pidfd says so next
        self._write_down()
        return EXIT_STOPPED

    def _file_strikes(self) -> None:
        self._listed_in = self.backstop.keep(self.registry, self.journal)
        self.kills += self.journal.file_strikes(self.backstop.take(self.killer.pid))

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
                refused = self.reload()
                if refused:
                    say(f"lmkd-py: reload refused, the old config stays: {refused}", sys.stderr)

    def answer(self, request: Request) -> Reply:
        """Carry out one request of the control socket; the reply always says how things stand."""
        text = ""
        if request.verb == Verb.STOP:
            self.stopping = True
        elif request.verb == Verb.RELOAD:
            text = self.reload()
        elif request.verb != Verb.STATUS:
            text = f"found verb {request.verb}, wanted STATUS, RELOAD or STOP"
        return status_reply(self.killer, self.journal, self.config, self.generation, self.kills, text)

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
        self.kills += kills
        self.journal.count_oom_kills(self.domain)
        now = monotonic()
        if kills or now - self._scanned_at > RESCAN_MS / 1000:
            self._scanned_at = now
            self._scan()

    def _scan(self) -> None:
        try:
            self.discovery.scan()
        except OSError:
            return  # the domain is gone; the killer ends and says so

    # -- killers ------------------------------------------------------------------------------------------------

    def _killer_died(self) -> int:
        dead = self.killer
        dead.reap()
        code = dead.shared.words[layout.EXIT_CODE]
        if code == EXIT_DOMAIN_GONE:
            self.complaint = f"{self.config.monitor.domain_path}: the guarded domain is gone"
            return EXIT_DOMAIN_GONE
        self._young_deaths = self._young_deaths + 1 if monotonic() - self._forked_at < 1.0 else 0
        if self._young_deaths > MAX_REFORKS:
            self.complaint = f"{MAX_REFORKS} killers in a row died young"
            return EXIT_KERNEL_LACKS
        self.journal.note("killer-died", f"killer {dead.pid} ended; forking another", dead.pid)
        try:
            self._take_over(self._fork(), dead)
        except KillerFailed as failure:
            self.complaint = str(failure)
            return failure.code
        return EXIT_STOPPED

    def _take_over(self, killer: Killer, former: Killer | None) -> None:
        """Everything to `killer`, then it is the one that is live; `former` may be ours, dead, or an orphan."""
        self.killer = killer
        hand_over(self.registry, killer)
        self.journal.begin(self.config, self.generation, killer, self.domain.describe())
        self.journal.count_oom_kills(self.domain)
        self._write_down()
        if former is not None and former.child:
            self.epoll.unregister(former.pidfd)
        self._listed_in = self.backstop.keep(self.registry, self.journal)
        go_live(killer, former)
        self.backstop.arm(os.getpid(), killer.pid, os.getppid())
        self.kills += self.journal.file_strikes(clear(self.root, self.backstop))
        self.epoll.register(killer.pidfd, select.EPOLLIN)
        if former is not None:
            self.kills += self.journal.file_records(former)
            self.journal.note("handover", f"killer {former.pid} ended, killer {killer.pid} live", killer.pid)
            self.registry.never.discard(former.pid)
            former.close()

    def _fork(self, required_layer: int = ABSENT) -> Killer:
        never = tuple(self.registry.never)
        killer = fork_killer(self.root, self.config, self.generation, self.rows, never, self.notify_fd, self.backstop,
                             required_layer, self.pool.reserve)  # fmt: skip
        self._forked_at = monotonic()
        self.registry.never.add(killer.pid)
        return killer

    # -- reload -------------------------------------------------------------------------------------------------

    def reload(self) -> str:
        """Take a new config.bin: policy at once, what is watched by a new killer. Returns why not, or ''."""
        try:
            config = load_config(self.root, self.observe)
        except (ConfigError, OSError) as error:
            self.journal.note("reload-refused", str(error))
            return str(error)
        if config == self.config:
            return ""
        former_config, self.config = self.config, config
        self.generation += 1
        if config.monitor == former_config.monitor:
            outbox = self.killer.outbox
            assert outbox is not None
            for index, value in enumerate(config.policy):
                outbox.put(layout.POLICY, index, (0, 0, 0, 0, 0, 0, value))
            outbox.put(layout.GENERATION, 0, (0, 0, 0, 0, 0, 0, self.generation))
            self.journal.begin(self.config, self.generation, self.killer, self.domain.describe())
            return ""
        return self._replace_killer(former_config)

    def _replace_killer(self, former_config: Config) -> str:
        former, former_backstop = self.killer, self.backstop
        self.backstops += 1
        self.backstop = load(self.root, self.config.monitor, self.backstops)
        try:
            domain = open_domain(self.config.monitor)
            self.pool.resize(self.config.monitor.reserve_kb)
            killer = self._fork(self.required_layer)
        except (KillerFailed, OSError, ValueError) as failure:
            self.backstop.stand_down()
            self.backstop = former_backstop
            self.config = former_config
            self.pool.resize(former_config.monitor.reserve_kb)
            self.generation -= 1
            self.journal.note("reload-refused", str(failure))
            return str(failure)
        self.domain.close()
        self.domain = self.pool.domain = domain
        self.discovery.watch(domain, self.config.monitor)
        self.registry.sized_limit = self.config.monitor.sized_candidates
        # The former killer guards another domain: it must not hear of this one's candidates.
        self.registry.outbox = None
        self._scan()
        self._take_over(killer, former)
        self.kills += self.journal.file_strikes(former_backstop.take(former.pid))
        former_backstop.stand_down()
        return ""
