"""Who may become a candidate, tried on real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from lmkd_py.daemon.steward.candidates.candidates import Candidates
from lmkd_py.daemon.steward.candidates.refused import CandidateRefused
from lmkd_py.kernel.acting.process import read_stat
from tests.support import require


@pytest.fixture
def child() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def kernel_thread() -> int | None:
    for name in os.listdir("/proc"):
        if name.isdigit() and read_stat(int(name)).flags & 0x00200000:
            return int(name)
    return None


def test_a_live_process_is_registered_under_its_start_time(child: int) -> None:
    candidates = Candidates(8, 4)
    process = candidates.register(child, 10001, 900)
    assert process is not None
    assert process.start_ticks == read_stat(child).start_ticks
    assert candidates.remove(child)
    assert not candidates.remove(child)


@pytest.mark.parametrize("pid", [0, 1, -5, os.getpid(), os.getppid()], ids=["0", "1", "-5", "own", "parent"])
def test_init_itself_and_its_parent_are_refused(pid: int) -> None:
    with pytest.raises(CandidateRefused, match="never a candidate"):
        Candidates(8, 4).register(pid, 0, 900)


def test_kernel_threads_are_refused() -> None:
    pid = kernel_thread()
    require(pid is not None, "this pid namespace shows no kernel thread: run the tests outside of it")
    assert pid is not None
    with pytest.raises(CandidateRefused, match="kernel thread") as refused:
        Candidates(8, 4).register(pid, 0, 900)
    assert refused.value.expected


def test_a_process_that_started_at_another_time_is_refused(child: int) -> None:
    with pytest.raises(CandidateRefused, match="recycled") as refused:
        Candidates(8, 4).register(child, 0, 900, start_ticks=read_stat(child).start_ticks + 1)
    assert not refused.value.expected


def test_a_zombie_and_a_dead_pid_are_refused() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(CandidateRefused, match="has ended") as ended:
        Candidates(8, 4).register(pid, 0, 900)
    os.waitpid(pid, 0)
    with pytest.raises(CandidateRefused, match="No such process") as gone:
        Candidates(8, 4).register(pid, 0, 900)
    assert ended.value.expected
    assert gone.value.expected


def test_a_negative_adj_takes_a_known_process_out(child: int) -> None:
    candidates = Candidates(8, 4)
    candidates.register(child, 0, 900)
    assert candidates.register(child, 0, -800) is None
    assert candidates.processes == {}


def test_an_adj_out_of_range_is_refused(child: int) -> None:
    with pytest.raises(CandidateRefused, match=r"outside -1000\.\.1000"):
        Candidates(8, 4).register(child, 0, 1001)


def test_a_full_table_refuses_and_a_removal_makes_room(child: int) -> None:
    candidates = Candidates(1, 1)
    candidates.register(child, 0, 900)
    other = os.fork()
    if other == 0:
        while True:
            signal.pause()
    try:
        with pytest.raises(CandidateRefused, match="no room: 1 candidates"):
            candidates.register(other, 0, 900)
        candidates.remove(child)
        assert candidates.register(other, 0, 900) is not None
        candidates.remove(other)
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


def test_registrations_and_removals_leave_no_descriptor_behind(child: int) -> None:
    candidates = Candidates(8, 4)
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(500):
        candidates.register(child, 0, 900 - turn % 100)
        if turn % 3 == 0:
            candidates.remove(child)
    candidates.remove(child)
    assert len(os.listdir("/proc/self/fd")) == before
