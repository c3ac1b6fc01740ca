"""The endurance of the pair, for `make soak`: hundreds of faults with the clock, thousands of births with the scales.

SEED=N repeats a run, FAULTS=N, BIRTHS=N and SECONDS=N change its length; all are printed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from tests.daemon.driver import Daemon, Trace
from tests.daemon.faults.footprint import Footprint, footprint, growth
from tests.daemon.faults.report import times_ms
from tests.daemon.faults.traces_left import held_again, held_at_rest
from tests.daemon.test_faults import SEED, run

pytestmark = [pytest.mark.pressure, pytest.mark.soak]

KILLER_BACK_MS, PAIR_BACK_MS = 100, 1000
POPULATION = 60
SETTLE_S = 3.0  # what is on its way between the two has come
SAMPLES = 60
GROWTH = Footprint(rss_kb=256, pss_kb=256, slab_kb=16 << 10)


def test_five_hundred_faults_and_the_pair_is_back_in_time(board: Sandbox, tmp_path: Path) -> None:
    stage = run(board, tmp_path, int(os.environ.get("FAULTS", "500")))
    killer = times_ms(stage.recoveries, "killer")
    pair = times_ms(stage.recoveries, "steward", "both", "start")
    assert killer[-1] <= KILLER_BACK_MS
    assert pair[-1] <= PAIR_BACK_MS


def test_ten_thousand_births_cost_nothing_that_stays(
    board: Sandbox, start: Callable[..., Daemon], tmp_path: Path
) -> None:
    births, seconds = int(os.environ.get("BIRTHS", "10000")), float(os.environ.get("SECONDS", "900"))
    print(f"\nSEED={SEED} BIRTHS={births} SECONDS={seconds:g}")
    source = random.Random(SEED)
    daemon = start(board)
    time.sleep(SETTLE_S)
    first = held_at_rest(tmp_path, daemon.pid, daemon.killer_pid)
    board.start_hog(0, 60, limit_mib=200)
    alive: list[App] = []
    samples: dict[str, list[Footprint]] = {"steward": [], "killer": []}
    begun = time.monotonic()
    for number in range(births):
        alive = [app for app in alive if app.is_alive()]
        while len(alive) >= POPULATION:
            assert time.monotonic() < begun + 2 * seconds + 60, f"{number} births; too few have died: {daemon.status()}"
            time.sleep(0.02)
            alive = [app for app in alive if app.is_alive()]
        adj = source.randint(900, 999)
        leaves_ms = source.randint(200, 4000) if source.random() < 0.5 else None
        alive.append(board.start_app(f"b{number}", adj, source.uniform(0.2, 2.0), leaves_after_ms=leaves_ms))
        if number % max(1, births // SAMPLES) == 0:
            samples["steward"].append(footprint(daemon.pid))
            samples["killer"].append(footprint(daemon.killer_pid))
        time.sleep(max(0.0, begun + (number + 1) * seconds / births - time.monotonic()))
    status = daemon.status()
    assert status.killer_pid == daemon.killer_pid, "it was replaced: the samples are of two"
    board.stop_pressure()
    for app in alive:
        board.end(app)
    time.sleep(SETTLE_S)
    leaked = held_again(first, tmp_path, daemon.pid, daemon.killer_pid)
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    print(f"{births} births, {len(trace.kills)} kills, {time.monotonic() - begun:.0f} s")
    for name, taken in samples.items():
        print(f"{name}: first {taken[0]}, last {taken[-1]}, growth {growth(taken)}")
    for name, taken in samples.items():
        grown = growth(taken)
        assert all(found <= most for found, most in zip(grown, GROWTH, strict=True)), (name, grown)
    assert not leaked
    assert trace.kills
