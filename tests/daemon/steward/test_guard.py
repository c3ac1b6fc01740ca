"""A guard is built whole and swapped, or dropped: whatever fails meanwhile, the one in force has not changed."""

from __future__ import annotations

import _socket
import gc
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from lmkd_py.core.config import Config, DomainKind, MonitorConfig
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.inherited import Inherited
from lmkd_py.daemon.killer import child
from lmkd_py.daemon.killer.inbox import Inbox
from lmkd_py.daemon.killer.roster import Roster
from lmkd_py.daemon.shared import Shared
from lmkd_py.daemon.slow_closers import give_copies
from lmkd_py.daemon.steward import event_loop, guard
from lmkd_py.daemon.steward.candidates import candidate_events
from lmkd_py.daemon.steward.ending import finish, let_go
from lmkd_py.daemon.steward.killers.keeper import KillerFailed, fork_killer
from lmkd_py.daemon.steward.killers.kernel_strike import load_kernel_strike
from lmkd_py.daemon.steward.reload import replace_guard
from lmkd_py.daemon.steward.steward import Steward
from lmkd_py.kernel.acting.syscalls import PR_SET_PDEATHSIG, eventfd, prctl
from lmkd_py.kernel.bpf import BpfRefused
from lmkd_py.kernel.protection.reserve import Reserve
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.wire.control import Request, Verb
from tests.daemon.driver import wait_until
from tests.daemon.rig import Members
from tests.daemon.scarcity import Scarcity, scarcity

ADJ = 900
FIRST = MonitorConfig(DomainKind.SYSTEM, scan=1, scan_min_adj=ADJ, strike=0, reserve_kb=64)
OTHER = FIRST._replace(psi_some_stall_ms=150, reserve_kb=128)
ROWS = 16
Descriptors = dict[str, int]


def be_killer(inherited: Inherited) -> NoReturn:
    """In the place of killer_main: a killer that takes its candidates and strikes nobody, armed at once."""
    sys.setprofile(None)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    memory, end, kick = inherited.fds[:3]
    shared, sock = Shared(memory), _socket.socket(fileno=end)
    inbox = Inbox(shared, sock, Roster(ROWS), inherited.config.policy, inherited.generation)
    give_copies(sock, [])
    shared.words[layout.STATE] = layout.ARMED
    os.write(inherited.fds[3], b"\1\0\0\0\0\0\0\0")
    while True:
        select.select([kick], [], [])
        os.read(kick, 8)
        inbox.drain()


def refuse(*_: object) -> NoReturn:
    raise BpfRefused("not here")


def descriptors() -> Descriptors:
    """How many there are of each kind."""
    found: Descriptors = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            what = os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
        except OSError:  # of the listing itself
            continue
        name = "memory of a killer" if what.startswith(("/dev/shm/", "/memfd")) else what
        found[name] = found.get(name, 0) + 1
    return found


def assert_none_but(before: Descriptors, at: str = "") -> None:
    """Neither more descriptors nor fewer. What a failure still refers to is garbage, and slow to look for."""
    if descriptors() != before:
        gc.collect()
        assert descriptors() == before, at


class Bench:
    """A steward whose killers take what they are told; three processes are theirs to strike."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.apps = [self._app() for _ in range(3)]
        monkeypatch.setattr(guard, "open_domain", self._open_domain)
        notify = eventfd()
        config, strike = Config(monitor=FIRST), load_kernel_strike(str(root), FIRST, 1)
        reserve = Reserve(FIRST.reserve_kb)
        killer = fork_killer(str(root), config, 1, ROWS, (), notify, strike, ABSENT, reserve)
        self.steward = Steward(str(root), config, False, ROWS, killer, notify, strike, reserve)
        self.steward.begin(None)
        self.settle()

    def _open_domain(self, monitor: MonitorConfig) -> Members:
        domain = Members(open_domain(monitor))
        domain.pids = self.apps
        return domain

    def _app(self) -> int:
        pid = os.fork()
        if not pid:
            signal.pause()
            os._exit(0)
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(ADJ))
        return pid

    def settle(self) -> None:
        """Turns of the loop until nothing is left to make up for."""
        steward = self.steward
        for _ in range(200):
            if not (steward.catch_up_due or steward.guard.killer.behind() or steward.epoll.poll(0)):
                break
            steward.run_once()
        steward.after_each()
        assert not steward.catch_up_due

    def assert_guarded(self) -> None:
        """The guard in force is alive and knows everybody: a pidfd, a statm and an oom_score_adj of each."""
        steward, killer = self.steward, self.steward.guard.killer
        assert set(steward.candidates.processes) == set(self.apps)
        assert killer.shared.words[layout.MODE] == layout.LIVE
        assert not killer.wait_end(0)
        assert steward.candidates.outbox is killer.outbox
        wait_until("the killer has them all", lambda: killer.shared.words[layout.FDS_HELD] == 3 * len(self.apps))
        assert killer.pid in steward.candidates.never
        assert steward.discovery.domain is steward.guard.domain
        assert steward.candidates.sized_limit == steward.guard.config.monitor.sized_candidates
        assert steward.deferred.pool.reserve is steward.guard.reserve
        assert steward._handlers.get(killer.pidfd) == steward.killer_ended

    def close(self) -> None:
        for pid in self.apps:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        finish(self.steward)
        self.steward.control.close()
        let_go(self.steward)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(child, "killer_main", be_killer)
    monkeypatch.setattr(candidate_events, "watch_processes", refuse)  # each takes a moment to load
    monkeypatch.setattr(event_loop, "RETRY_MS", 1)
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.close()


def try_once(bench: Bench, config: Config, nth: int) -> tuple[Scarcity, str]:
    """Another guard while the nth system call fails: that guard, or all is as it was."""
    steward = bench.steward
    former, before, never = steward.guard, descriptors(), set(steward.candidates.never)
    with scarcity(nth, True) as met:
        refused = replace_guard(steward, config)
    bench.settle()
    if refused:
        assert steward.guard is former, "a guard that was refused is in force"
        assert steward.candidates.never == never
    else:
        assert (steward.guard.config, steward.guard.generation) == (config, former.generation + 1)
        assert not os.path.exists(f"/proc/{former.killer.pid}"), "the former killer lives on"
    bench.assert_guarded()
    assert_none_but(before)
    return met, refused


@pytest.mark.root("forks killers")
def test_a_guard_that_does_not_come_into_force_changes_nothing(bench: Bench) -> None:
    there, back = Config(monitor=OTHER), Config(monitor=FIRST)
    met, refused = try_once(bench, there, 0)
    assert not refused
    refusals = 0
    for nth in range(1, met.met + 1):
        config = back if bench.steward.guard.config == there else there
        try:
            refusals += bool(try_once(bench, config, nth)[1])
        except AssertionError as error:
            raise AssertionError(f"call {nth} of {met.met}") from error
    assert 10 < refusals < met.met, "it fails before there is no way back, and not after"


@pytest.mark.root("forks killers")
def test_a_guard_that_cannot_be_built_leaves_nothing(bench: Bench) -> None:
    steward, config = bench.steward, Config(monitor=OTHER)
    former, before, reply = steward.guard, descriptors(), steward.answer(Request(Verb.STATUS))
    met, nth = Scarcity(0, True), 0
    while met.met >= nth:  # else nothing failed, and so nothing is left to fail
        nth += 1
        with scarcity(nth, True) as met:
            try:
                built = steward.builder.build(former, config, steward.candidates.never)
            except (KillerFailed, OSError, MemoryError):
                built = former
        built.drop(former)
        assert_none_but(before, f"call {nth}")
    assert nth > 5
    assert steward.guard is former
    assert steward.answer(Request(Verb.STATUS)) == reply
    bench.assert_guarded()
