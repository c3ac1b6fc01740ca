"""STEADY in a real killer: as many die as have to, in order, the game has its memory, and the trace tells it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import KillReason, PolicyKind
from tests.daemon.driver import Daemon, Trace, wait_until

pytestmark = [pytest.mark.pressure, pytest.mark.slow]
Start = Callable[..., Daemon]
STEADY = PolicyConfig(kind=int(PolicyKind.STEADY))
GAME_MIB = 100


def test_a_game_gets_its_memory_from_as_few_as_have_to_die(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = [board.start_app(f"cached-{adj}", adj, 16) for adj in range(911, 900, -1)]
    foreground = board.start_app("foreground-0", 0, 20)
    daemon = start(board, policy=STEADY)
    game = board.start_hog(0, 40, limit_mib=GAME_MIB)
    wait_until("the game has its memory", lambda: game.resident_kb() >= (GAME_MIB - 1) << 10 or not game.is_alive(), 30)
    assert game.is_alive()
    assert foreground.is_alive()
    board.stop_pressure()
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    kills = trace.kills
    # 196 MiB of applications and 100 of the game, in 256 less a low watermark of 10 and a reserve of 4: 54 are missing.
    assert [kill.outcome.adj for kill in kills] == list(range(911, 911 - len(kills), -1))
    assert 3 <= len(kills) <= 5
    assert {kill.judgement.reason for kill in kills} == {KillReason.EXHAUSTED}
    assert sum(not app.is_alive() for app in apps) == len(kills)
    trace.assert_replays()


def test_of_a_leak_the_leaker_dies_before_those_that_are_more_expendable(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    apps = [board.start_app(f"cached-{adj}", adj, 8) for adj in range(911, 901, -1)]
    daemon = start(board, policy=STEADY)
    leaker = board.start_hog(901, 40)
    wait_until("the leaker is dead", lambda: not leaker.is_alive(), 30)
    board.stop_pressure()
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert [kill.outcome.pid for kill in trace.kills] == [leaker.pid]
    assert all(app.is_alive() for app in apps)
    trace.assert_replays()
