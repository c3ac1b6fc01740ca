"""The main job under real pressure: the right processes die, in order, and the trace tells it again bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import DomainKind
from lmkd_py.core.vocabulary import KillReason, ProgressSource, WakeupKind
from lmkd_py.core.wakeup import announced
from tests.daemon.driver import Daemon, Trace, wait_until
from tools.observer import Observer

pytestmark = [pytest.mark.pressure, pytest.mark.slow]
Start = Callable[..., Daemon]

TIERS = (("cached", 905), ("cached", 904), ("cached", 903), ("cached", 902), ("cached", 901), ("cached", 900))
MORE = (("previous", 700), ("previous", 700), ("previous", 700), ("perceptible", 200), ("perceptible", 200))


def fill(board: Sandbox, size_mib: float) -> list[App]:
    """Six cached apps, three previous ones, two perceptible ones, a foreground app: 12 processes, 4 tiers."""
    apps = [board.start_app(f"{name}-{adj}", adj, size_mib) for name, adj in (*TIERS, *MORE)]
    return [*apps, board.start_app("foreground-0", 0, 20)]


def assert_right_order(trace: Trace, dead: list[App]) -> None:
    order = [record.outcome.adj for record in trace.kills]
    assert order == sorted(order, reverse=True), f"a lower tier died before a higher one: {order}"
    assert {record.outcome.pid for record in trace.kills} == {app.pid for app in dead}


def test_file_thrash_kills_cached_before_previous_before_perceptible(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    apps = fill(board, 16)
    foreground = apps[-1]
    daemon = start(board)
    board.start_thrashers(2, adj=0)
    wait_until("10 of 11 expendable apps are dead", lambda: sum(not app.is_alive() for app in apps[:-1]) >= 10)
    assert foreground.is_alive() or all(not app.is_alive() for app in apps[:-1])
    board.stop_pressure()
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert_right_order(trace, [app for app in board.apps if app.pid in {k.outcome.pid for k in trace.kills}])
    assert len(trace.kills) >= 10
    assert {KillReason(k.judgement.reason) for k in trace.kills} & {
        KillReason.DIRECT_RECL_AND_THRASHING,
        KillReason.LOW_MEM_AND_THRASHING,
    }
    trace.assert_replays()


def raised_by(trace: Trace) -> set[str]:
    """First words of the triggers whose events were judged: psi, vmpressure, oom_control."""
    names = trace.headers[0].triggers
    return {names[r.trigger].name.split()[0] for r in trace.records if announced(r.snapshot).kind == WakeupKind.EVENT}


@pytest.mark.all_suite
def test_psi_alone_kills_in_the_same_order(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = fill(board, 16)
    daemon = start(board, triggers={"vmpressure": 0, "psi_some_stall_ms": 20}, strike={"enabled": 0})
    board.start_thrashers(4, adj=0)
    wait_until("10 of 11 expendable apps are dead", lambda: sum(not app.is_alive() for app in apps[:-1]) >= 10, 90)
    board.stop_pressure()
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert_right_order(trace, [app for app in board.apps if app.pid in {k.outcome.pid for k in trace.kills}])
    assert raised_by(trace) == {"psi"}
    is_v1 = board.place.kind == DomainKind.MEMCG_V1
    counted = ProgressSource.FAILCNT if is_v1 else ProgressSource.LIMIT_EVENTS
    assert trace.headers[0].progress_source == counted
    trace.assert_replays()


def test_an_anonymous_hog_kills_in_the_same_order(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = fill(board, 16)
    daemon = start(board)
    hog = board.start_hog(100, 60)
    wait_until("10 kills", lambda: sum(not app.is_alive() for app in apps[:-1]) >= 10 or not hog.is_alive())
    board.stop_pressure()
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    order = [record.outcome.adj for record in trace.kills]
    assert order == sorted(order, reverse=True), order
    assert len(order) >= 10
    assert len(set(order)) >= 3
    assert apps[-1].is_alive(), "the foreground app died while others could"
    assert {"vmpressure", "oom_control"} & raised_by(trace)
    trace.assert_replays()


def test_fifty_kills_are_recorded_seen_from_outside_and_replayed(board: Sandbox, start: Start, tmp_path: Path) -> None:
    bystander = board.start_app("outside-999", 999, 8, outside=True)
    apps = [board.start_app(f"cached-{900 + i % 100}", 900 + i % 100, 3.5) for i in range(62)]
    daemon = start(board)
    with Observer() as seen:
        board.start_hog(0, 40, limit_mib=230)
        wait_until("50 apps are dead", lambda: sum(not app.is_alive() for app in apps) >= 50)
        board.stop_pressure()
        assert daemon.stop() == 0
    assert seen.lost == 0
    trace = Trace(tmp_path)
    recorded = {record.outcome.pid: record for record in trace.kills}
    ours = [kill for kill in seen.kills() if kill.sender_pid == daemon.killer_pid]
    assert len(recorded) >= 50
    assert [kill.victim_pid for kill in ours] == [record.outcome.pid for record in trace.kills]
    dead = {event.pid for event in seen.exits()}
    assert set(recorded) <= dead
    assert set(recorded) <= {app.pid for app in board.apps if app.inside}
    assert bystander.is_alive()
    assert not trace.lost
    assert not trace.noted("lost")
    trace.assert_replays()


@pytest.mark.all_suite
def test_observe_mode_records_the_same_and_nobody_dies(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = fill(board, 14)
    daemon = start(board, "--observe")
    with Observer() as seen:
        board.start_thrashers(2, adj=0)
        wait_until("30 wakeups would have killed", lambda: _would_kill(daemon, tmp_path) >= 30)
        board.stop_pressure()
        assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert all(app.is_alive() for app in apps)
    assert [kill for kill in seen.kills() if kill.sender_pid in (daemon.pid, daemon.killer_pid)] == []
    assert all(record.observe == 1 for record in trace.records)
    assert {record.outcome.pid for record in trace.kills} <= {app.pid for app in apps}
    assert trace.kills[0].outcome.adj == 905
    trace.assert_replays()


def _would_kill(daemon: Daemon, root: Path) -> int:
    return len(Trace(root).kills)
