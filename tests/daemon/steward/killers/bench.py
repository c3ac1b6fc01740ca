"""A real steward in the test's own process that forks killers which strike nobody, and a kernel's strike on paper."""

from __future__ import annotations

import _socket
import mmap
import os
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from lmkd_py.core.config import (
    Config,
    DiscoveryConfig,
    DomainConfig,
    DomainKind,
    GuaranteeConfig,
    MonitorConfig,
    StrikeConfig,
    with_settings,
)
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.inherited import Inherited
from lmkd_py.daemon.killer import child
from lmkd_py.daemon.killer.inbox import Inbox
from lmkd_py.daemon.killer.roster import Roster
from lmkd_py.daemon.shared import Shared
from lmkd_py.daemon.slow_closers import give_copies
from lmkd_py.daemon.steward import event_loop, reload, steward
from lmkd_py.daemon.steward.candidates import candidate_events
from lmkd_py.daemon.steward.ending import finish, let_go
from lmkd_py.daemon.steward.filing.kernel_log import Filing
from lmkd_py.daemon.steward.killers import kernel_strike
from lmkd_py.daemon.steward.killers.keeper import Killer, fork_killer
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike
from lmkd_py.daemon.steward.steward import Steward
from lmkd_py.kernel.acting.syscalls import PR_SET_PDEATHSIG, eventfd, prctl
from lmkd_py.kernel.bpf import AttachedProgram, BpfRefused, Guard
from lmkd_py.kernel.bpf import layout as bpf
from lmkd_py.kernel.protection.reserve import Reserve
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.wire.control import Reply, Request, Verb
from tests.daemon.driver import wait_until
from tests.daemon.rig import Members

ADJ = 900
FIRST = MonitorConfig(
    domain=DomainConfig(DomainKind.SYSTEM),
    discovery=DiscoveryConfig(scan=1, scan_min_adj=ADJ),
    guarantee=GuaranteeConfig(reserve_kb=64, rt_priority=0),
    strike=StrikeConfig(min_adj=0),
)
OTHER = with_settings(FIRST, triggers={"psi_some_stall_ms": 150}, guarantee={"reserve_kb": 128})
ROWS = 16


def be_killer(inherited: Inherited) -> NoReturn:
    """In the place of killer_main: a killer that takes its candidates and strikes nobody, armed at once."""
    inbox, kick = armed(inherited)
    while True:
        select.select([kick], [], [])
        os.read(kick, 8)
        inbox.drain()


def armed(inherited: Inherited, hang_up: bool = False) -> tuple[Inbox, int]:
    """What every such killer begins with: its inbox, and what wakes it. hang_up: its end of the socket is closed."""
    sys.setprofile(None)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    memory, end, kick = inherited.fds[:3]
    shared, sock = Shared(memory), _socket.socket(fileno=end)
    inbox = Inbox(shared, sock, Roster(ROWS), inherited.config.policy, inherited.generation)
    give_copies(sock, [])
    if hang_up:
        sock.close()
    shared.words[layout.STATE] = layout.ARMED
    os.write(inherited.fds[3], b"\1\0\0\0\0\0\0\0")
    return inbox, kick


class PaperGuard(Guard):
    """The words of a program that no kernel has. `lists`: every kill-list with what ARMED was as it came."""

    def __init__(self, attached: AttachedProgram) -> None:
        self.ring_fd = attached.ring_fd
        self.variant = attached.variant
        self._guard, self._rows = mmap.mmap(-1, bpf.WORDS_BYTES), mmap.mmap(-1, bpf.ROWS_BYTES)
        self._consumer, self._producer = mmap.mmap(-1, mmap.PAGESIZE), mmap.mmap(-1, mmap.PAGESIZE)
        self.log = mmap.mmap(-1, bpf.LOG_BYTES)
        self.words = memoryview(self._guard).cast("Q")
        self._consumed, self._produced = memoryview(self._consumer).cast("L"), memoryview(self._producer).cast("L")
        self.lists: list[tuple[int, set[int]]] = []

    def publish(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """As the real one, and noted."""
        super().publish(rows)
        self.lists.append((self.words[bpf.ARMED], {pid for pid, _, _ in rows}))


class PaperStrike(KernelStrike):
    """A strike that was loaded into no kernel; everything the steward does with it is real."""

    def __init__(self, monitor: MonitorConfig, number: int) -> None:
        attached = AttachedProgram(1, eventfd(), eventfd(), eventfd(), eventfd(), (), ())
        super().__init__(monitor, "/nowhere", None, "")
        self.attached, self.number = attached, number
        self.guard = self._guard = PaperGuard(attached)
        self.filing = Filing(self.guard.words, self.guard.log, 0, self.stand_down)

    @property
    def is_armed(self) -> bool:
        """Whether it would strike now; one that has been taken out of the kernel would not."""
        return self.attached is not None and self.guard.words[bpf.ARMED] != bpf.OFF


class Bench:
    """A steward whose killers take what they are told; three processes are theirs to strike."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.apps = [self._app() for _ in range(3)]
        self.inside = {FIRST.domain.psi_path: self.apps}  # who is in a domain, by its path; else `apps`
        self.strikes: list[PaperStrike] = []
        monkeypatch.setattr(child, "killer_main", be_killer)
        monkeypatch.setattr(candidate_events, "watch_processes", refuse)  # each takes a moment to load
        monkeypatch.setattr(event_loop, "RETRY_MS", 1)
        monkeypatch.setattr(kernel_strike, "REFILE_S", 0.0)
        monkeypatch.setattr(candidate_events, "KICK_GAP_S", 0.0)
        for module in (steward, reload):
            monkeypatch.setattr(module, "open_domain", self._open_domain)
        monkeypatch.setattr(reload, "load_kernel_strike", lambda _, monitor, number: self._strike(monitor, number))
        notify, config, strike = eventfd(), Config(monitor=FIRST), self._strike(FIRST, 1)
        reserve = Reserve(FIRST.guarantee.reserve_kb)
        root.mkdir(exist_ok=True)
        killer = fork_killer(str(root), config, 1, ROWS, (), notify, strike, ABSENT, reserve)
        self.steward = Steward(str(root), config, False, ROWS, killer, notify, strike, reserve)
        self.steward.begin(None)
        self.settle()

    def _strike(self, monitor: MonitorConfig, number: int) -> KernelStrike:
        self.strikes.append(PaperStrike(monitor, number))
        return self.strikes[-1]

    def _open_domain(self, monitor: MonitorConfig) -> Members:
        domain = Members(open_domain(with_settings(monitor, domain={"psi_path": ""})))
        domain.pids = self.inside.get(monitor.domain.psi_path, self.apps)
        return domain

    def _app(self) -> int:
        pid = os.fork()
        if not pid:
            signal.pause()
            os._exit(0)
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(ADJ))
        return pid

    def add_elsewhere(self, path: str) -> int:
        """A process of another domain, which that path stands for."""
        pid = self._app()
        self.inside.setdefault(path, []).append(pid)
        return pid

    def settle(self) -> None:
        """Turns of the loop until nothing is left to make up for."""
        steward = self.steward
        for _ in range(200):
            if not (steward.catch_up_due or steward.killer.behind() or steward.epoll.poll(0)):
                break
            steward.run_once()
        steward.after_each()
        assert not steward.catch_up_due

    def status(self) -> Reply:
        """What the steward says of itself."""
        return self.steward.answer(Request(Verb.STATUS))

    def assert_guarded_by(self, killer: Killer) -> None:
        """This killer is in force, alive, and knows everybody: a pidfd, a statm and an oom_score_adj of each."""
        steward = self.steward
        assert steward.killer is killer
        assert killer.shared.words[layout.MODE] == layout.LIVE
        assert not killer.wait_end(0)
        assert set(steward.candidates.processes) == set(self.apps)
        assert steward.candidates.outbox is killer.outbox
        wait_until("the killer has them all", lambda: killer.shared.words[layout.FDS_HELD] == 3 * len(self.apps))
        assert killer.pid in steward.candidates.never
        assert steward._handlers.get(killer.pidfd) == steward.killer_ended
        assert steward.discovery.domain is steward.deferred.domain is steward.domain
        strike = steward.kernel_strike
        assert [each for each in self.strikes if each.is_armed] == [strike]
        steward.events.tend()  # a registration that was refused is tried again then
        assert steward.events._kick_fd == strike.kick_fd
        assert self.listed() == set(self.apps)

    def listed(self) -> set[int]:
        """Whom the strike in force would strike."""
        strike = self.steward.kernel_strike
        assert isinstance(strike, PaperStrike)
        return strike.guard.lists[-1][1]

    def close(self) -> None:
        for pid in {pid for pids in self.inside.values() for pid in pids}:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        try:
            finish(self.steward)
        finally:
            self.steward.killer.end()
            self.steward.control.close()
        let_go(self.steward)


def refuse(*_: object) -> NoReturn:
    """No events of processes here."""
    raise BpfRefused("not here")
