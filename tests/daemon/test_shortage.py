"""A steward that finds no memory, wherever: it goes on, and a moment later nothing is missing, double or left open."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lmkd_py.core.config import Config, MonitorConfig, TriggerConfig
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.inherited import EXIT_NO_MEMORY
from lmkd_py.daemon.steward import event_loop
from lmkd_py.daemon.steward.candidates import candidate_events
from lmkd_py.daemon.steward.event_loop import EventLoop
from lmkd_py.daemon.steward.filing import trace_file
from lmkd_py.daemon.steward.filing.trace_file import TraceFile
from lmkd_py.daemon.steward.killers import keeper
from lmkd_py.daemon.steward.killers.keeper import Killer, KillerFailed, fork_killer
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike
from lmkd_py.daemon.steward.killers.vacancy import MAX_REFORKS
from lmkd_py.kernel.acting.syscalls import eventfd, pidfd_open
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.kernel.sensing.triggers import open_triggers, psi
from lmkd_py.wire.header import encode_header
from tests.analysis.paper import PaperKiller, header, packed
from tests.daemon.driver import BOOT, Trace
from tests.daemon.rig import Rig
from tests.daemon.scarcity import Scarcity, scarcity
from tests.support import require


def no_memory() -> OSError:
    return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def descriptors() -> list[str]:
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd))


def children() -> set[int]:
    """Of this process, the dead that nobody has waited for included."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def _do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    # Hundreds of failures: each turn and each look at the candidates follows the one before at once.
    monkeypatch.setattr(event_loop, "RETRY_MS", 1)
    for name in ("GAP_S", "LOOK_GAP_S", "SCAN_GAP_S"):
        monkeypatch.setattr(candidate_events, name, 0.001)


def one_failure(root: Path, nth: int, kernel: bool) -> Scarcity:
    """A turn in which the nth call fails, and all that has to be true afterwards."""
    rig = Rig(root)
    try:
        rig.happen()
        with scarcity(nth, kernel) as met:
            rig.steward.run_once()
        rig.settle()
        assert rig.known() == {pid: (adj, True) for pid, adj in rig.adjs.items()}
        assert set(rig.steward.candidates.processes) == set(rig.adjs)
        rig.steward.journal.names.settle()  # as at a stop: whoever has come and is known will be written down
        rig.steward.journal.trace.catch_up()
        trace = Trace(root)
        assert not trace.lost
        assert [record.seq for record in trace.records] == [0, 1]
        assert {process.pid for process in trace.processes} >= set(rig.adjs)
        assert rig.steward.journal.kills == 2
    finally:
        rig.close()
    return met


@pytest.mark.all_suite
@pytest.mark.slow
@pytest.mark.parametrize("kernel", [True, False], ids=["ENOMEM", "MemoryError"])
def test_a_call_that_finds_no_memory_leaves_nothing_behind(
    tmp_path: Path, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _do_not_wait(monkeypatch)
    before = len(descriptors())
    calls = one_failure(tmp_path / "none", 0, kernel).met
    assert calls > (30 if kernel else 80)
    for nth in range(1, calls + 1):
        try:
            one_failure(tmp_path / str(nth), nth, kernel)
        except AssertionError as error:
            raise AssertionError(f"call {nth} of {calls}") from error
        assert len(descriptors()) == before, f"call {nth} of {calls}"


def test_a_backlog_is_sent_though_nothing_happens(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "root")
    try:
        outbox = rig.pair.outbox
        while outbox.flush():  # until the inbox is full
            outbox.put(layout.DROP, 15)
        left = len(outbox.backlog)
        rig.pair.inbox.drain()
        while rig.steward.epoll.poll(0):
            rig.steward.run_once()
        rig.steward.run_once()  # there is nothing to wait for but time
        assert len(outbox.backlog) < left
    finally:
        rig.close()


class Full:
    """os.write on a kernel without memory: parts of a frame at first, then nothing until `lifted`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fd: int) -> None:
        self.lifted = False
        self.fd = fd
        self._parts = 2
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if fd != self.fd or self.lifted:
            return self._write(fd, data)
        if not self._parts:
            raise no_memory()
        self._parts -= 1
        return self._write(fd, data[: len(data) // 3])


def test_frames_that_found_no_memory_are_written_later_whole_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper, trace = PaperKiller(), TraceFile(str(tmp_path), BOOT)
    trace.begin(encode_header(header(paper.config)))
    kernel = Full(monkeypatch, trace.fd)
    for _ in range(5):
        assert trace.record(packed(paper.wakeup()))
    assert len(Trace(tmp_path).records) < 5
    kernel.lifted = True
    assert trace.catch_up()
    assert [record.seq for record in Trace(tmp_path).records] == [0, 1, 2, 3, 4]
    assert not Trace(tmp_path).lost
    trace.close()


def test_records_stay_in_the_ring_when_too_many_wait_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_file, "LATE_BYTES", 1000)
    paper, trace = PaperKiller(), TraceFile(str(tmp_path), BOOT)
    trace.begin(encode_header(header(paper.config)))
    kernel = Full(monkeypatch, trace.fd)
    taken = [trace.record(packed(paper.wakeup())) for _ in range(5)]
    assert taken == sorted(taken, reverse=True)
    assert not taken[-1]
    kernel.lifted = True
    assert trace.record(packed(paper.wakeup()))
    trace.close()


def test_what_always_fails_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    _do_not_wait(monkeypatch)
    loop = Failing(OSError(errno.EIO, "Input/output error"), 0)
    fds = [eventfd(1) for _ in range(3)]
    loop.fails = fds[0]
    for fd in fds:
        loop.watch(fd, loop.serve)
    loop.run_once()
    assert loop.served == 2
    loop.close()
    for fd in fds:
        os.close(fd)


class Failing(EventLoop):
    """A loop whose step fails this many times."""

    def __init__(self, error: Exception, times: int) -> None:
        super().__init__()
        self.error, self.times = error, times
        self.fails = -1  # a descriptor that always does
        self.heard: list[str] = []
        self.served = self.made_up = 0

    def serve(self, fd: int) -> None:
        if self.times or fd == self.fails:
            self.times = max(0, self.times - 1)
            raise self.error
        os.read(fd, 8)
        self.served += 1
        self.stopping = True

    def after_each(self) -> None:
        pass

    def catch_up(self) -> None:
        self.made_up += 1

    def report_failure(self, what: str) -> None:
        self.heard.append(what)

    def patience_s(self) -> float:
        return -1


@pytest.mark.parametrize("error", [no_memory(), MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_the_loop_goes_on_whatever_fails_and_says_so_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    _do_not_wait(monkeypatch)
    loop = Failing(error, 3)
    fd = eventfd(1)
    loop.watch(fd, loop.serve)
    loop.run()
    assert (loop.served, len(loop.heard)) == (1, 1)
    assert loop.made_up > 0
    assert loop.interrupted == isinstance(error, MemoryError)
    loop.close()
    os.close(fd)


def test_no_trigger_is_gone_without_for_want_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise no_memory()

    monkeypatch.setattr(psi, "_open", fail)
    domain = open_domain(MonitorConfig())
    before = descriptors()
    require(domain.psi_memory_path, "a kernel with pressure stall information")
    with pytest.raises(OSError, match=r"psi full: .*Cannot allocate memory"):
        open_triggers(MonitorConfig(triggers=TriggerConfig(psi_some_stall_ms=0)), domain)
    assert descriptors() == before
    domain.close()


@pytest.mark.parametrize("name", ["make_lasting", "eventfd", "pidfd_open", "remember", "Shared"])
def test_a_killer_that_cannot_be_forked_for_want_of_memory_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: object) -> None:
        raise no_memory()

    monkeypatch.setattr(keeper, name, fail)
    kernel_strike = KernelStrike(Config().monitor, "", None, "not here")
    before, notify, born = descriptors(), eventfd(), children()
    with pytest.raises(KillerFailed) as caught:
        fork_killer(str(tmp_path), Config(), 1, 16, (), notify, kernel_strike)
    os.close(notify)
    assert caught.value.code == EXIT_NO_MEMORY
    del caught
    assert descriptors() == before
    assert children() <= born  # others of this process may end meanwhile


def test_without_memory_for_another_killer_it_goes_on_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _do_not_wait(monkeypatch)
    rig = Rig(tmp_path / "root")
    tries = []

    def fork(required_layer: int = ABSENT) -> Killer:
        tries.append(required_layer)
        raise KillerFailed(EXIT_NO_MEMORY, "no memory")

    pid = os.fork()
    if not pid:
        os._exit(0)
    alive, rig.killer.pidfd = rig.killer.pidfd, pidfd_open(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # ended, and still to be waited for
    try:
        monkeypatch.setattr(rig.steward, "fork", fork)
        rig.steward.unwatch(alive)
        rig.steward.watch(rig.killer.pidfd, rig.steward.killer_ended)  # it has ended
        for _ in range(1000 * MAX_REFORKS):  # forks of the whole machine take turns of their own
            if len(tries) >= 2 * MAX_REFORKS:
                break
            rig.steward.run_once()
        assert len(tries) == 2 * MAX_REFORKS
        assert [note.kind for note in Trace(rig.root).notes].count("killer-died") == 1
    finally:
        os.waitpid(pid, 0)
        os.close(alive)
        rig.close()
