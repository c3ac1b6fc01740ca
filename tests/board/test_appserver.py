"""A process with a pid of our choice, while others fork, too."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from lmkd_py.board.appserver import PID_TRIES, _Server, fork_as

pytestmark = pytest.mark.root("/proc/sys/kernel/ns_last_pid")


def ended(child: int) -> int:
    """A process that does nothing; its pid is free again."""
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child


@pytest.mark.parametrize("thieves", [0, 1, 3])
def test_who_forks_in_between_and_is_gone_again_does_not_matter(thieves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ended(os.fork())
    fork = os.fork
    stolen: list[int] = []

    def late() -> int:
        if len(stolen) < thieves:
            stolen.append(ended(fork()))
        return fork()

    monkeypatch.setattr(os, "fork", late)
    assert ended(fork_as(wanted)) == wanted
    assert len(stolen) == thieves


def test_a_pid_that_lives_on_is_told_to_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("lmkd_py.board.appserver.time.sleep", waits.append)
    with pytest.raises(OSError, match=f"pid {os.getpid()} is taken"):
        fork_as(os.getpid())
    assert len(waits) == PID_TRIES


def test_who_is_struck_as_soon_as_it_is_in_its_place_was_born(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    pidfd_open = os.pidfd_open

    def strike(pid: int) -> int:
        pidfd = pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pidfd

    monkeypatch.setattr(os, "pidfd_open", strike)
    with ours, theirs:
        child, pidfd = _Server(theirs).spawn(b"app".hex(), "900", "0", "0", "0", "0", "hold", "0")
    os.close(pidfd)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
