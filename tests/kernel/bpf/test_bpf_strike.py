"""The strike inside the kernel on a real, thrashing memory cgroup: who dies when the killer does not answer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.bpf import layout
from lmkd_py.kernel.sensing.perf import EventCounter
from tests.kernel.bpf_tools import LIMIT_MIB, guarded, killer_of, rows_of, wait_events
from tests.support import repeated, wait_until

pytestmark = [pytest.mark.pressure]

VICTIMS = 40


def frozen_run(cache: Path, wakes_first: bool, victims: int = VICTIMS) -> None:
    """One board, its killer stopped under thrash: the list dies in order and nobody else; resumed, nobody more."""
    with Sandbox(LIMIT_MIB) as board, guarded(board, cache) as (guard, attached), killer_of(attached) as killer:
        listed = [board.start_app(f"listed-{number}", 999 - number, 0.5) for number in range(victims)]
        spared = [board.start_app(f"spared-{number}", 999, 0.5) for number in range(4)]
        guard.publish(rows_of(listed))
        thrashers = board.start_thrashers(2)
        if wakes_first:
            guard.arm(layout.STRIKE)
            wait_until("there are more than 1 kicks", lambda: guard.counters().kicks > 1)  # it has answered
            killer.stop()
        else:
            killer.stop()
            guard.arm(layout.STRIKE)
        wait_until("the list is used up", lambda: guard.head() == victims)
        order = [strike.pid for strike in guard.strikes(0)]
        assert order == [app.pid for app in listed]
        assert all(app.wait_dead(60) for app in listed)
        assert all(app.is_alive() for app in (*spared, *thrashers))
        extra = [board.start_app(f"late-{number}", 999, 0.5) for number in range(3)]
        killer.resume()
        wait_until("the last kick is answered", lambda: guard.words[layout.ACK] >= guard.words[layout.KICK])
        guard.publish(rows_of(extra))
        before = guard.counters()
        wait_events(guard, 300)
        after = guard.counters()
        assert after.kicks > before.kicks  # it is asked, and it answers
        assert after.strikes == before.strikes == victims
        assert all(app.is_alive() for app in (*spared, *extra, *thrashers))
        assert board.oom_kills() == 0


@pytest.mark.parametrize("wakes_first", [True, False], ids=["after-it-woke", "before-it-ever-woke"])
@pytest.mark.parametrize("run", repeated(1, 2, 50))  # test_strike.py of the daemon has more, with both processes
def test_the_list_dies_in_order_while_the_killer_is_stopped(tmp_path: Path, run: int, wakes_first: bool) -> None:
    frozen_run(tmp_path, wakes_first)


@pytest.mark.all_suite
def test_nobody_is_struck_while_the_killer_answers(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, attached), killer_of(attached):
        listed = [board.start_app(f"listed-{number}", 900, 0.5) for number in range(3)]
        guard.publish(rows_of(listed))
        board.start_thrashers(2)
        # Long enough for a loaded machine to wake a process that is not a real-time one.
        guard.set_word(layout.ANSWER_NS, 3_000_000_000)
        guard.arm(layout.STRIKE)
        wait_until("there are more than 20 kicks", lambda: guard.counters().kicks > 20)
        wait_events(guard, 1000)
        # The same kick, answered long ago, while reclaim goes on.
        guard.set_word(layout.REKICK_NS, 60_000_000_000)
        wait_until("the last kick is 3.2 s old", lambda: time.monotonic_ns() > guard.words[layout.KICK] + 3_200_000_000)
        wait_events(guard, 100)
        assert guard.counters().strikes == 0
        assert all(app.is_alive() for app in listed)


def test_without_pressure_nobody_is_even_kicked(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, _):
        listed = [board.start_app(f"listed-{number}", 900, 4) for number in range(3)]
        guard.publish(rows_of(listed))
        guard.arm(layout.STRIKE)
        with Sandbox(LIMIT_MIB) as neighbour, guarded(neighbour, tmp_path) as (its_guard, _):
            # A neighbour's reclaim is the clock: its program counts real events meanwhile, ours must see none.
            neighbour.start_thrashers(2)
            its_guard.arm(layout.KICK_ONLY)
            wait_events(its_guard, 1000)
        assert guard.counters()._replace(armed=0) == (0,) * len(guard.counters())
        assert all(app.is_alive() for app in listed)


def test_reclaim_is_still_counted_by_perf_while_a_strike_is_attached(tmp_path: Path) -> None:
    """A program that returned 0 would hide the tracepoint from every perf event of the machine."""
    event = "vmscan:mm_vmscan_memcg_reclaim_begin"
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, attached), killer_of(attached):
        guard.set_word(layout.ANSWER_NS, 5_000_000_000)
        guard.arm(layout.STRIKE)
        thrashers = board.start_thrashers(2)
        with EventCounter((event,), thrashers[0].pid) as counter:
            wait_until("the counter is above 100", lambda: counter.read()[0] > 100)
