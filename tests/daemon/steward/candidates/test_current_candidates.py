"""The list of candidates is current before the first strike of an episode, whatever happened while all was calm."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.core.vocabulary import Action
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.daemon.lacking import without_syscall
from tests.daemon.strike_tools import SPARE_ALL, dead_in_order, layer_of
from tests.support import require

pytestmark = pytest.mark.pressure
Start = Callable[..., Daemon]


def leave(board: Sandbox, app: App) -> None:
    """Out of the guarded cgroup, as a container manager moves a process: it goes on living elsewhere."""
    for place in board.place.directories:
        (Path(place).parent / "cgroup.procs").write_text(str(app.pid))


def set_adj(app: App, adj: int) -> None:
    """As an application manager does when somebody goes to the background."""
    Path(f"/proc/{app.pid}/oom_score_adj").write_text(str(adj))


def press_until_one_is_dead(board: Sandbox, apps: list[App]) -> None:
    """A hog that fills the domain."""
    board.start_hog(0, 150)
    wait_until("one of them is dead", lambda: not all(app.is_alive() for app in apps))
    board.stop_pressure()


def assert_first_kill(daemon: Daemon, victim: App) -> None:
    """It was the first that was decided, and nobody was looked for in vain."""
    assert daemon.stop() == 0
    trace = Trace(daemon.root)
    assert trace.kills[0].outcome.pid == victim.pid
    assert not [each for each in trace.records if each.judgement.action == Action.KILL and not each.outcome.pid]
    trace.assert_replays()


def knows(daemon: Daemon, count: int) -> None:
    """Without anything that would make it look: it was told."""
    wait_until(f"{count} candidates are known", lambda: daemon.status().candidates == count)


def test_who_was_started_while_all_was_calm_dies_before_an_older_less_expendable_one(
    board: Sandbox, start: Start
) -> None:
    old = board.start_app("old-300", 300, 20)
    daemon = start(board)
    young = [board.start_app(f"young-{adj}", adj, 20) for adj in (940, 950)]
    knows(daemon, 3)
    press_until_one_is_dead(board, young)
    assert old.is_alive()
    assert_first_kill(daemon, young[1])


def test_who_went_to_the_background_while_all_was_calm_dies_first(board: Sandbox, start: Start) -> None:
    apps = [board.start_app(f"app-{number}", 100 + number, 20) for number in range(3)]
    cached = board.start_app("cached-900", 900, 20)
    daemon = start(board, discovery={"scan_min_adj": 1})
    set_adj(apps[0], 950)
    set_adj(cached, 0)
    knows(daemon, 3)
    press_until_one_is_dead(board, [*apps, cached])
    assert cached.is_alive()
    assert_first_kill(daemon, apps[0])


def test_who_has_left_the_guarded_cgroup_is_spared(board: Sandbox, start: Start) -> None:
    gone = board.start_app("gone-950", 950, 20)
    stays = board.start_app("stays-900", 900, 20)
    daemon = start(board)
    leave(board, gone)
    knows(daemon, 1)
    press_until_one_is_dead(board, [stays])
    assert gone.is_alive()
    assert_first_kill(daemon, stays)
    board.end(gone)


def test_the_kernel_strikes_those_that_were_started_after_the_daemon_while_the_killer_is_stopped(
    board: Sandbox, start: Start
) -> None:
    daemon = start(board, strike={"gap_ms": 5}, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here; see the daemon's notes")
    apps = [board.start_app(f"late-{950 - number}", 950 - number, 0.5) for number in range(8)]
    knows(daemon, 8)
    os.kill(daemon.killer_pid, signal.SIGSTOP)
    board.start_thrashers(2)
    wait_until("all of them are dead", lambda: not any(app.is_alive() for app in apps), 60)
    board.stop_pressure()
    os.kill(daemon.killer_pid, signal.SIGCONT)
    assert dead_in_order(apps)
    assert daemon.stop() == 0


@pytest.mark.parametrize("sized", [0, 1, 256])
def test_an_adj_that_the_steward_could_not_tell_is_read_before_the_strike(
    board: Sandbox, start: Start, sized: int
) -> None:
    raised = board.start_app("raised-950", 950, 20)
    others = [board.start_app(f"cached-{adj}", adj, 20) for adj in (900, 890)]
    daemon = start(board, discovery={"sized_candidates": sized})
    os.kill(daemon.pid, signal.SIGSTOP)
    set_adj(raised, 0)
    board.start_hog(0, 150)
    wait_until("the next in line is dead", lambda: not others[0].is_alive())
    board.stop_pressure()
    os.kill(daemon.pid, signal.SIGCONT)
    assert raised.is_alive()
    assert daemon.stop() == 0
    trace = Trace(daemon.root)
    assert trace.kills[0].outcome.pid == others[0].pid
    trace.assert_replays()


def test_without_process_events_each_kill_says_how_old_the_list_of_members_was(board: Sandbox, tmp_path: Path) -> None:
    app = board.start_app("cached-900", 900, 30)
    board.write_root(str(tmp_path), Config(PolicyConfig(), board.monitor_config()))
    daemon = Daemon(tmp_path, preexec=without_syscall("bpf", errno.EPERM))
    try:
        press_until_one_is_dead(board, [app])
        assert daemon.stop() == 0
    finally:
        daemon.end()
    trace = Trace(tmp_path)
    kill = trace.kills[0]
    (note,) = [each for each in trace.noted("membership") if each.monotonic_ns == kill.outcome.at_ms * 1_000_000]
    assert 0 <= note.number < 60_000
