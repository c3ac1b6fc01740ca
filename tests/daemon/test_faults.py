"""Random faults of both processes under lasting pressure: nobody is missed, nobody is wrongly struck, nothing is lost.

SEED=N repeats a run, FAULTS=N makes it longer; both are printed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from tests.daemon.faults.judge import judge
from tests.daemon.faults.plan import draw
from tests.daemon.faults.report import exact, report
from tests.daemon.faults.stage import Stage
from tests.daemon.faults.traces_left import held_again, held_at_rest, left_behind
from tools.observer import Observer

SEED = int(os.environ.get("SEED", "0")) or time.time_ns() % 1_000_000


@pytest.mark.pressure
@pytest.mark.slow
@pytest.mark.all_suite
def test_sixty_faults_lose_nothing_and_strike_in_order(board: Sandbox, tmp_path: Path) -> None:
    run(board, tmp_path, int(os.environ.get("FAULTS", "60")))


def run(board: Sandbox, root: Path, count: int) -> Stage:
    """All but the clock; the stage holds the times."""
    print(f"\nSEED={SEED} FAULTS={count}")
    board.write_root(str(root), Config(PolicyConfig(), board.monitor_config()))
    with Observer() as seen:
        stage = Stage(board, root, SEED)
        try:
            killer, _ = stage.pair.wait("the first start")
            first = held_at_rest(root, stage.supervisor.pid, killer.pid)
            stage.fill()
            for fault in draw(SEED, count):
                stage.suffer(fault)
                seen.drain()
            stage.empty()
            killer, _ = stage.pair.wait("the last fault")
            leaked = held_again(first, root, stage.supervisor.pid, killer.pid)
            code = stage.supervisor.stop()
        except BaseException:
            print(stage.pair.describe())
            raise
        finally:
            stage.abandon()
    verdict = judge(root, stage.ledger, seen, stage.attentive)
    stage.recoveries = exact(stage.recoveries, verdict.lives)
    print(report(stage, verdict))
    assert seen.lost == 0
    assert not verdict.faults, verdict.faults
    assert not leaked
    assert code == 0
    assert left_behind(root) == []
    return stage
