"""Victims that are not what they were when they were registered: no wrong kill, the next one is taken."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.errors import SandboxError
from lmkd_py.board.sandbox import Sandbox
from tests.daemon.driver import Daemon, Trace, wait_until

pytestmark = [pytest.mark.pressure, pytest.mark.slow]
Start = Callable[..., Daemon]


def press_until(board: Sandbox, apps: list[App], count: int) -> None:
    board.start_hog(0, 60, limit_mib=235)
    wait_until(f"{count} are dead", lambda: sum(not app.is_alive() for app in apps) >= count)
    board.stop_pressure()


def resume_and_stop(daemon: Daemon) -> None:
    os.kill(daemon.pid, signal.SIGCONT)
    assert daemon.stop() == 0


def test_the_dead_and_the_zombies_are_passed_over(board: Sandbox, start: Start, tmp_path: Path) -> None:
    gone = [board.start_app(f"gone-{number}", 960 + number, 4) for number in range(5)]
    zombies = [board.start_app(f"zombie-{number}", 950 + number, 4, keep_zombie=True) for number in range(5)]
    apps = [board.start_app(f"cached-{number}", 900 + number, 6) for number in range(20)]
    daemon = start(board)
    os.kill(daemon.pid, signal.SIGSTOP)  # the killer cannot be told: to it they die between choice and strike
    for app in (*gone, *zombies):
        board.end(app)
    press_until(board, apps, 8)
    resume_and_stop(daemon)
    kills = Trace(tmp_path).kills
    assert not {kill.outcome.pid for kill in kills} & {app.pid for app in (*gone, *zombies)}
    assert kills[0].outcome.attempts == 11
    assert [kill.outcome.adj for kill in kills[:8]] == list(range(919, 911, -1))
    for app in zombies:
        board.reap(app)


def test_a_recycled_pid_is_not_struck(board: Sandbox, start: Start, tmp_path: Path) -> None:
    former = [board.start_app(f"cached-{number}", number, 2) for number in range(950, 960)]
    apps = [board.start_app(f"cached-{number}", 900 + number, 6) for number in range(20)]
    daemon = start(board)
    os.kill(daemon.pid, signal.SIGSTOP)
    for app in former:
        board.end(app)
    first, second = _recycle(board, former)
    press_until(board, apps, 8)
    assert second.is_alive(), "another process that got the pid of a registered one was struck"
    resume_and_stop(daemon)
    assert first.pid not in {kill.outcome.pid for kill in Trace(tmp_path).kills}


def test_a_process_raised_while_the_steward_cannot_tell_is_spared(board: Sandbox, start: Start, tmp_path: Path) -> None:
    raised = board.start_app("raised-950", 950, 4)
    apps = [board.start_app(f"cached-{number}", 900 + number, 6) for number in range(20)]
    daemon = start(board)
    os.kill(daemon.pid, signal.SIGSTOP)
    Path(f"/proc/{raised.pid}/oom_score_adj").write_text("0")
    press_until(board, apps, 8)
    assert raised.is_alive()
    resume_and_stop(daemon)


def test_a_victim_in_uninterruptible_sleep_does_not_hold_up_the_next(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    stuck = board.start_app("frozen-950", 950, 4)
    apps = [board.start_app(f"cached-{number}", 900 + number, 6) for number in range(20)]
    board.freeze(stuck)
    daemon = start(board)
    try:
        press_until(board, apps, 8)
        assert stuck.is_alive()
    finally:
        board.thaw()
    assert daemon.stop() == 0
    kills = Trace(tmp_path).kills
    assert kills[0].outcome.pid == stuck.pid
    assert kills[1].outcome.pid == apps[-1].pid
    assert kills[1].outcome.at_ms - kills[0].outcome.at_ms >= 100, "the kill timeout was not waited for"
    assert stuck.wait_dead(30)


def test_processes_below_zero_are_never_struck(board: Sandbox, start: Start, tmp_path: Path) -> None:
    native = board.start_app("native--800", -800, 20) if _may_lower() else board.start_app("native", 0, 20)
    apps = [board.start_app(f"cached-{number}", 900 + number, 6) for number in range(12)]
    daemon = start(board)
    press_until(board, apps, 8)
    assert native.is_alive()
    assert daemon.stop() == 0


def _recycle(board: Sandbox, former: list[App]) -> tuple[App, App]:
    """A dead app of `former` and a live one with its pid; other processes of the machine may take a pid first."""
    for app in former:
        wait_until("the pid is free", lambda pid=app.pid: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]
        try:
            return app, board.start_app("innocent-950", 950, 2, pid=app.pid)
        except SandboxError:
            continue
    raise AssertionError("none of ten pids could be had again")


def _may_lower() -> bool:
    try:
        Path("/proc/self/oom_score_adj").write_text("-1")
        Path("/proc/self/oom_score_adj").write_text("0")
    except OSError:
        return False
    return True
