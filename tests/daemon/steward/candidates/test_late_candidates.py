"""Pressure that is there before anybody can be struck: who turns up later is struck then, nobody hangs for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board import cgroups
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import DomainKind
from lmkd_py.core.vocabulary import Action, Level
from tests.daemon.driver import PATIENCE_S, Daemon, Trace, still, wait_until
from tests.support import require

pytestmark = pytest.mark.pressure
Start = Callable[..., Daemon]


def hang(board: Sandbox) -> None:
    """Fill the domain until every task in it that wants memory waits for ever."""
    require(board.place.kind == DomainKind.MEMCG_V1, "only v1 can switch the kernel's OOM killer off")
    board.start_hog(0, 150)
    wait_until("the domain hangs", lambda: cgroups.keyed(board.place.memory, "memory.oom_control", "under_oom"))


def test_apps_started_since_the_last_scan_are_found_and_struck(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board, domain={"psi_path": ""})
    assert daemon.status().candidates == 0
    apps = [board.start_app(f"cached-{900 + number}", 900 + number, 8) for number in range(4)]
    wait_until("they have allocated", lambda: board.usage_kb() > 30_000)
    board.start_hog(0, 150)
    wait_until("one of them is dead", lambda: not all(app.is_alive() for app in apps))
    board.stop_pressure()
    assert daemon.stop() == 0
    Trace(tmp_path).assert_replays()


def has_looked_in_vain(root: Path) -> bool:
    """Whether it has filed that it wanted to strike and found nobody."""
    records = Trace(root).records
    return any(record.judgement.action == Action.KILL and not record.outcome.pid for record in records)


def falls_asleep(daemon: Daemon, patience_s: float) -> bool:
    """Whether within that time nothing wakes the killer for half a second; while it polls it wakes every 10 or 100 ms.

    AOSP's polling lasts a second from the last reclaim on. Where the kernel takes pages away for its own reasons, as
    DAMON does, the tasks that hang get one now and then, and reclaim: then it may go on for long.
    """
    deadline = time.monotonic() + patience_s
    while not (asleep := still((daemon.killer_pid,), 0.5)) and time.monotonic() < deadline:
        pass
    return asleep


@pytest.mark.slow
def test_a_registration_seconds_after_everything_hangs_is_enough(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = [board.start_app(f"cached-{900 + number}", 900 + number, 8) for number in range(4)]
    wait_until("they have allocated", lambda: board.usage_kb() > 30_000)
    daemon = start(board, discovery={"scan": 0})
    hang(board)
    wait_until("the killer has looked in vain", lambda: has_looked_in_vain(tmp_path))
    asleep = falls_asleep(daemon, 5)
    board.write_procs(str(tmp_path), apps)
    wait_until("one of them is dead", lambda: not all(app.is_alive() for app in apps))
    board.stop_pressure()
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    first = trace.kills[0]
    assert first.outcome.pid == apps[3].pid
    assert first.snapshot.level == int(Level.CRITICAL)
    if asleep:  # else the next poll or reclaim may be quicker
        assert trace.headers[0].triggers[first.trigger].name == "oom_control"
    trace.assert_replays()


def test_nobody_is_struck_for_a_shortage_that_is_over(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board, discovery={"scan": 0})
    hang(board)
    wait_until("the killer has looked in vain", lambda: has_looked_in_vain(tmp_path))
    board.stop_pressure()
    assert falls_asleep(daemon, PATIENCE_S)
    apps = [board.start_app(f"cached-{900 + number}", 900 + number, 8) for number in range(4)]
    board.write_procs(str(tmp_path), apps)
    wait_until("they are registered", lambda: daemon.status().candidates == 4)
    assert daemon.stop() == 0
    assert Trace(tmp_path).kills == []
    assert all(app.is_alive() for app in apps)


def test_a_death_that_frees_nothing_here_is_followed_by_the_next(board: Sandbox, start: Start, tmp_path: Path) -> None:
    elsewhere = [board.start_app(f"elsewhere-{number}", 980 + number, 4, outside=True) for number in range(12)]
    apps = [board.start_app(f"cached-{900 + number}", 900 + number, 8) for number in range(4)]
    wait_until("they have allocated", lambda: board.usage_kb() > 30_000)
    board.write_procs(str(tmp_path), [*elsewhere, *apps])
    daemon = start(board, discovery={"scan": 0})
    board.start_hog(0, 150)
    wait_until("two in the domain are dead", lambda: sum(not app.is_alive() for app in apps) >= 2)
    board.stop_pressure()
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert [kill.outcome.pid for kill in trace.kills][:14] == [app.pid for app in (*elsewhere[::-1], *apps[:1:-1])]
    trace.assert_replays()
