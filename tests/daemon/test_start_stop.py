"""How the daemon starts beside another, stops, lies idle, and what it does without when the machine lacks it."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.daemon import inherited, state_root
from tests.daemon.driver import Daemon, Trace, is_killer, still, wait_until, write_config
from tests.daemon.program import assert_refused, run
from tests.support import needs_cgroup

pytestmark = needs_cgroup
Start = Callable[..., Daemon]


# -- one at a time ----------------------------------------------------------------------------------------------------


def test_a_second_daemon_on_the_same_root_is_refused(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    assert_refused(run(tmp_path), inherited.EXIT_ALREADY_RUNNING, "another lmkd-py", f"status --root {tmp_path}")
    assert daemon.status().armed
    assert daemon.stop() == 0
    assert not (tmp_path / "ctl").exists()


def test_of_two_daemons_started_at_once_one_wins(board: Sandbox, tmp_path: Path) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    for _ in range(5):
        both = [Daemon(tmp_path, wait=False) for _ in range(2)]
        try:
            one_wins(both)
        finally:
            for each in both:
                each.end()


def test_a_lock_that_another_makes_meanwhile_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find no file; the other one makes it first."""
    others: list[int] = []
    really = os.open

    def late(path: str, flags: int, mode: int = 0o777) -> int:
        if not others:
            others.append(really(path, flags | os.O_CREAT, 0o600))
            fcntl.flock(others[0], fcntl.LOCK_EX)
            raise FileNotFoundError(path)
        return really(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", late)
        with pytest.raises(BlockingIOError):
            state_root.lock_root(str(tmp_path))
    os.close(others[0])
    os.close(state_root.lock_root(str(tmp_path)))


def one_wins(both: list[Daemon]) -> None:
    wait_until("one gave up", lambda: any(each.process.poll() is not None for each in both))
    loser, winner = sorted(both, key=lambda each: each.process.poll() is None)
    assert loser.process.returncode == inherited.EXIT_ALREADY_RUNNING
    winner._wait_armed()
    assert winner.status().steward_pid == winner.pid
    assert winner.stop() == 0


# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.pressure
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_pressure_leaves_no_torn_frame(
    board: Sandbox, start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    board.start_thrashers(2, adj=0)
    for _ in range(5):
        for _ in range(4):
            board.start_app("cached-900", 900, 30)
        before = Trace(tmp_path)
        daemon = start(board)
        wait_until("it has something to do", partial(more_than, tmp_path, len(before.records)))
        os.kill(daemon.pid, number)
        assert daemon.process.wait(30) == 0
        assert not is_killer(daemon.killer_pid)
        after = Trace(tmp_path)
        seqs = [record.seq for record in after.records[len(before.records) :]]
        missing = set(range(seqs[-1] + 1)) - set(seqs)  # a busy machine may keep the steward from filing in time
        noted = after.noted("lost")[len(before.noted("lost")) :]
        assert seqs == sorted(set(seqs))
        # More may be noted: records left out after the last one that was filed.
        assert len(missing) <= sum(note.number for note in noted), "a loss that nobody noted"
    trace = Trace(tmp_path)
    assert not trace.lost
    assert len(trace.noted("stopped")) == 5


def more_than(root: Path, known: int) -> bool:
    """Whether the trace has more than `known` records."""
    return len(Trace(root).records) > known


@pytest.mark.slow
def test_an_idle_domain_wakes_neither_process_in_five_seconds(board: Sandbox, start: Start) -> None:
    for number in range(10):
        board.start_app(f"cached-{900 + number}", 900 + number, 4)
    daemon = start(board)
    pids = (daemon.pid, daemon.killer_pid)
    wait_until("arming has calmed down", lambda: still(pids, 1.5))  # longer than the steward's looks for calm are apart
    assert still(pids, 5)


def test_a_state_root_deeper_than_a_socket_address_works(board: Sandbox, tmp_path: Path) -> None:
    root = tmp_path.joinpath(*["a-rather-long-directory-name"] * 6)
    assert len(str(root)) > 160
    write_config(root, Config(monitor=board.monitor_config()))
    daemon = Daemon(root)
    try:
        assert daemon.status().armed
        assert daemon.stop() == 0
    finally:
        daemon.end()


# -- the domain and the kernel


def test_a_domain_that_goes_away_is_waited_for(start: Start, tmp_path: Path) -> None:
    with Sandbox(limit_mib=64) as board:
        daemon = start(board)
    wait_until("it waits", lambda: daemon.status().waiting)
    assert not is_killer(daemon.killer_pid)
    assert daemon.stop() == 0
    assert daemon.process.stderr is not None
    assert f"lmkd-py: {board.place.memory}: the guarded domain is gone\n" in daemon.process.stderr.read()
    assert [note.kind for note in Trace(tmp_path).notes if note.kind in ("domain-gone", "stopped")] == ["domain-gone"]


@pytest.mark.pressure
def test_a_kernel_without_psi_is_guarded_by_the_other_triggers(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board, domain={"psi_path": ""})
    assert [line for line in daemon.said if line.startswith("missing psi")]
    assert not [trigger for trigger in daemon.status().triggers if "psi" in trigger.name]
    apps = [board.start_app(f"cached-{900 + number}", 900 + number, 8) for number in range(4)]
    wait_until("they are found", lambda: board.usage_kb() > 30_000)
    board.start_hog(0, 100)
    wait_until("one of them is dead", lambda: not all(app.is_alive() for app in apps))
    board.stop_pressure()
    assert daemon.stop() == 0
    assert all(kill.snapshot.psi_mem_some_total_us == -1 for kill in Trace(tmp_path).kills)
