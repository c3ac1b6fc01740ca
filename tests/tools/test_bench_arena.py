"""The bench's own programs under real pressure: the crowd comes back, the C loop strikes, ours can be measured."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support import require
from tools.bench import step
from tools.bench.arena import Arena
from tools.bench.guards import CLoop, Daemon, open_files
from tools.bench.kill_latency import one_round, policy, unlike_files
from tools.bench.records import PHASES, phases_us, read_decisions

pytestmark = pytest.mark.pressure


@pytest.fixture(autouse=True)
def compiler() -> None:
    """The bench builds its C programs."""
    require(shutil.which("gcc"), "gcc is not here: apt-get install gcc libc6-dev (make test does it as root)")


def test_a_victim_is_replaced_and_the_news_tell_it() -> None:
    with Arena(limit_mib=64, count=5) as arena:
        before = dict(arena.crowd.living)
        heard: list[bytes] = []
        arena.crowd.listeners.append(heard.append)
        victim = next(iter(before))
        os.kill(victim, 9)
        while victim in arena.crowd.living or len(arena.crowd.living) < 5:
            arena.pump(0.05)
        assert set(arena.crowd.living) - set(before)
        assert b"-%d\n" % victim in b"".join(heard)


def test_the_c_loop_strikes_the_most_expendable_under_thrash_and_nobody_else_is_touched() -> None:
    with Arena(limit_mib=64, count=10) as arena:
        loop = CLoop(arena, thrashing_pct=2)
        adj = dict(arena.crowd.living)
        arena.crowd.listeners.append(lambda lines: adj.update(arena.crowd.living))
        arena.start_thrashers()
        _, struck, lost = one_round(arena, loop, kills=5, timeout_s=60)
        assert len(struck) >= 5
        assert lost == 0
        assert {strike.victim for strike in struck} <= set(adj)
        assert adj[struck[0].victim] >= 909, (
            "909 was the highest; higher ones replace the dead, whom we may not have seen"
        )
        assert arena.board.oom_kills() == 0


def test_our_kills_are_paired_with_their_wakeups_and_their_phases() -> None:
    with Arena(limit_mib=64, count=10) as arena:
        daemon = Daemon(arena.board.monitor_config(discovery={"scan_min_adj": 100}), policy())
        arena.start_thrashers()
        _, struck, lost = one_round(arena, daemon, kills=5, timeout_s=60)
        decisions = read_decisions(daemon.trace_files()[-1])
        daemon.forget()
    assert lost == 0
    assert len(struck) >= 5
    assert {strike.victim for strike in struck} <= {decision.pid for decision in decisions}
    told = phases_us(struck, decisions)
    assert set(told) == {"wake", *(name.removesuffix("_ns") for name in PHASES)}
    # One that was woken while it still ran may have begun its turn after that, too.
    assert len([strike for strike in struck if not strike.busy]) <= len(told["wake"]) <= len(struck)


def test_the_c_loop_reads_the_files_that_the_daemon_reads() -> None:
    with Arena(limit_mib=64, count=2) as arena:
        daemon = Daemon(arena.board.monitor_config(discovery={"scan_min_adj": 100}), policy())
        daemon.start()
        try:
            assert open_files(daemon.killer)
            assert unlike_files(arena, daemon) == set()
        finally:
            daemon.stop()
            daemon.forget()


@pytest.mark.all_suite
def test_a_step_of_an_anon_hog_is_answered() -> None:
    response = step.measure(step.CASES[0], steps=1, limit_mib=128)
    assert response.unanswered == 0
    assert len(response.ms) == 1
