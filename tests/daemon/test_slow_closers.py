"""What is slow to close is not closed by who dies: copies of PSI triggers, pins of process events."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.daemon import slow_closers
from lmkd_py.daemon.slow_closers import CROWD, GAP_S, LATER_S, NEVER, SlowClosers, copies_of, give_copies, take_copies
from lmkd_py.kernel.acting.syscalls import pidfd_getfd, pidfd_open
from lmkd_py.kernel.bpf import parent_of
from lmkd_py.kernel.bpf.pins import WATCHES
from tests.daemon.driver import Daemon, wait_until
from tests.daemon.faults.traces_left import held_again, held_at_rest
from tests.support import needs_cgroup

Start = Callable[..., Daemon]


def pressure_files(pid: int) -> list[int]:
    links = Path(f"/proc/{pid}/fd")
    return [int(fd) for fd in os.listdir(links) if link_of(links / fd).endswith("/memory.pressure")]


def link_of(link: Path) -> str:
    """What a descriptor is; "" once it is closed, which a steward does meanwhile."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def flags_of(pid: int, fd: int) -> int:
    """Those of open(); 0 once it is closed."""
    try:
        text = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
    except FileNotFoundError:
        return 0
    return int(text.partition("flags:")[2].split()[0], 8)


def mark_all(pid: int) -> None:
    """Flags belong to the open file, not to the descriptor: who else has a copy of it has the mark, too."""
    pidfd = pidfd_open(pid)
    for fd in pressure_files(pid):
        try:
            copy = pidfd_getfd(pidfd, fd)
        except OSError:  # closed meanwhile: a copy of a killer that is dead
            continue
        fcntl.fcntl(copy, fcntl.F_SETFL, fcntl.fcntl(copy, fcntl.F_GETFL) | os.O_APPEND)
        os.close(copy)
    os.close(pidfd)


def triggers_marked(pid: int) -> list[bool]:
    """Of each PSI trigger (opened for writing) of a process."""
    flags = [flags_of(pid, fd) for fd in pressure_files(pid)]
    return [bool(each & os.O_APPEND) for each in flags if each & os.O_ACCMODE == os.O_RDWR]


def is_replaced(daemon: Daemon) -> bool:
    status = daemon.status()
    return status.killer_pid != daemon.killer_pid and bool(status.armed)


@needs_cgroup
def test_the_steward_has_a_copy_of_each_psi_trigger_of_its_killer(board: Sandbox, start: Start) -> None:
    daemon = start(board)
    mark_all(daemon.pid)
    assert triggers_marked(daemon.killer_pid) == [True, True]


@needs_cgroup
def test_copies_of_dead_killers_are_closed_once_another_one_is_live(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    daemon = start(board)
    first = held_at_rest(tmp_path, daemon.pid, daemon.killer_pid)
    for _ in range(3):
        os.kill(daemon.killer_pid, signal.SIGKILL)
        wait_until("another killer is live", lambda: is_replaced(daemon))
        daemon.killer_pid = daemon.status().killer_pid
        mark_all(daemon.pid)
        assert triggers_marked(daemon.killer_pid) == [True, True]
    assert not held_again(first, tmp_path, daemon.pid, daemon.killer_pid)


@needs_cgroup
def test_who_ends_an_orphan_has_copies_of_its_triggers_before(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    first = held_at_rest(tmp_path, daemon.pid, daemon.killer_pid)
    daemon.kill()
    pidfd = pidfd_open(daemon.killer_pid)
    copies = copies_of(daemon.killer_pid, pidfd)
    os.close(pidfd)
    for fd in copies:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
        os.close(fd)
    assert triggers_marked(daemon.killer_pid) == [True, True]
    successor = start(board)
    assert True in triggers_marked(successor.pid), "the orphan has ended, its triggers are still open"
    assert not held_again(first, tmp_path, successor.pid, successor.killer_pid)


def watches(root: Path) -> dict[str, list[str]]:
    """What is pinned of process events, by the pid of the steward that pinned it."""
    found = sorted(Path(parent_of(str(root))).glob("*-events"))
    return {each.name.partition("-")[0]: sorted(pin.name for pin in each.iterdir()) for each in found}


@needs_cgroup
def test_process_events_stay_attached_when_the_steward_dies_and_go_with_its_successor(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    daemon = start(board)
    daemon.kill()
    assert watches(tmp_path) == {str(daemon.pid): sorted(WATCHES)}
    successor = start(board)
    wait_until("only its own are pinned", lambda: watches(tmp_path) == {str(successor.pid): sorted(WATCHES)})
    assert successor.stop() == 0
    assert not os.path.exists(parent_of(str(tmp_path)))


def test_copies_pass_from_the_killer_to_the_steward() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        give_copies(theirs, [])
        assert take_copies(ours) == ()
        read, write = os.pipe()
        give_copies(theirs, [read, write])
        copies = take_copies(ours)
        assert [os.fstat(fd).st_ino for fd in copies] == [os.fstat(read).st_ino] * 2
        assert not any(os.get_inheritable(fd) for fd in copies)
        for fd in (*copies, read, write):
            os.close(fd)


def test_one_is_closed_at_a_time_some_time_after_the_last_death(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(slow_closers, "monotonic", lambda: now[0])
    closed: list[int] = []
    monkeypatch.setattr(os, "close", closed.append)
    slow = SlowClosers()
    assert slow.wait_s() == NEVER
    slow.add(())
    assert slow.wait_s() == NEVER
    slow.add((1001, 1002))
    slow.tend()
    assert closed == []
    now[0] += LATER_S / 2
    slow.add((1003,))
    assert slow.wait_s() == LATER_S
    for expected in ([1001], [1001, 1002], [1001, 1002, 1003]):
        now[0] += slow.wait_s()
        slow.tend()
        slow.tend()
        assert closed == expected
        assert slow.wait_s() == (pytest.approx(GAP_S) if len(expected) < 3 else NEVER)
    assert slow.wait_s() == NEVER
    slow.add(tuple(range(2000, 2002 + CROWD)))
    assert closed[3:] == [2000, 2001], "no more wait than a steward can hold"
    slow.close()
    assert len(closed) == 5 + CROWD
    assert not slow.waiting
