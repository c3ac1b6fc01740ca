"""A victim's pidfd belongs to killer and reaper together: whoever is done last closes it, once, at once."""

from __future__ import annotations

import gc
import os
import signal
import threading

import pytest

from lmkd_py.daemon.killer import reaper
from lmkd_py.daemon.killer.reaper import REAPERS, Reapers
from tests.daemon.driver import wait_until


def victim() -> int:
    """Pidfd of a process that is dying. Not forked: hundreds of copies of this large process took seconds."""
    pid = os.posix_spawnp("sleep", ["sleep", "600"], os.environ)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return pidfd


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def reapers() -> Reapers:
    made = Reapers()
    made.start(lambda: None)
    return made


def test_the_killer_closes_when_the_reaper_is_done_first(reapers: Reapers) -> None:
    pidfd = victim()
    job = reapers.reap(pidfd)
    assert job is not None
    wait_until("it is reaped", lambda: not job.busy)
    assert is_open(pidfd), "the killer still waits for it"
    reapers.let_go(pidfd, job)
    assert not is_open(pidfd)


@pytest.fixture
def goes_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Event that lets a blocked reap continue."""
    event = threading.Event()

    def held_up(_: int) -> int:
        event.wait()
        return 0

    monkeypatch.setattr(reaper, "process_mrelease", held_up)
    return event


def test_the_reaper_closes_when_the_killer_is_done_first(goes_on: threading.Event, reapers: Reapers) -> None:
    pidfd = victim()
    job = reapers.reap(pidfd)
    assert job is not None
    reapers.let_go(pidfd, job)
    assert is_open(pidfd), "the reaper still works on it"
    goes_on.set()
    wait_until("it is closed", lambda: not is_open(pidfd))


def test_more_victims_than_reapers_are_let_go_at_once(goes_on: threading.Event, reapers: Reapers) -> None:
    fds = [victim() for _ in range(REAPERS + 1)]
    jobs = [reapers.reap(pidfd) for pidfd in fds]
    assert jobs[-1] is None
    for pidfd, job in zip(fds, jobs, strict=True):
        reapers.let_go(pidfd, job)
    assert [is_open(pidfd) for pidfd in fds] == [True] * REAPERS + [False]
    goes_on.set()
    wait_until("all are closed", lambda: not any(is_open(pidfd) for pidfd in fds))


def test_nothing_is_left_open_or_closed_twice_in_any_order(reapers: Reapers) -> None:
    gc.collect()  # what former tests left in cycles is not closed in the middle of this one
    before = os.listdir("/proc/self/fd")
    for _ in range(300):
        pidfd = victim()
        job = reapers.reap(pidfd)
        reapers.let_go(pidfd, job)
    wait_until("both rest", lambda: not any(job.busy for job in reapers.jobs))
    assert os.listdir("/proc/self/fd") == before
