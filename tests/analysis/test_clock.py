"""Kills are dated by the last good pair of clocks before them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.analysis.clock import GOOD_NS, Clock, Pair
from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.trace import read_trace
from lmkd_py.core.config import Config
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.wire.header import Note
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write
from tests.core.values import make_candidate

S = 10**9
BAD, GOOD = 1000 * S, GOOD_NS + 1000 * S
PAIRS = st.builds(Pair, st.integers(0, 10**6), st.integers(0, 2 * GOOD_NS))


def test_a_time_is_dated_by_the_last_pair_before_it() -> None:
    clock = Clock([Pair(100, GOOD), Pair(300, GOOD + 5000)])
    assert clock.realtime_ns(50) == GOOD - 50, "before all pairs by the first"
    assert clock.realtime_ns(299) == GOOD + 199
    assert clock.realtime_ns(300) == GOOD + 5000
    assert clock.realtime_ns(301) == GOOD + 5001


def test_a_clock_that_nobody_had_set_dates_nothing_if_another_does() -> None:
    clock = Clock([Pair(100, BAD), Pair(200, BAD + 5), Pair(300, GOOD), Pair(400, BAD)])
    assert clock.realtime_ns(150) == GOOD - 150
    assert clock.realtime_ns(450) == GOOD + 150
    assert Clock([Pair(100, BAD)]).realtime_ns(150) == BAD + 50, "there is no better one"
    assert Clock([]).realtime_ns(1) is None


@given(st.lists(PAIRS, min_size=1, max_size=6), st.integers(0, 2 * 10**6))
def test_the_pair_is_one_of_those_and_a_good_one_if_any_is(pairs: list[Pair], now: int) -> None:
    found = Clock(pairs).realtime_ns(now)
    assert found is not None
    used = [pair for pair in pairs if pair.realtime_ns + now - pair.monotonic_ns == found]
    assert used
    assert any(pair.is_good for pair in used) or not any(pair.is_good for pair in pairs)


def test_a_kill_after_a_step_is_dated_by_it(tmp_path: Path) -> None:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900),)
    first = killer.wakeup(**LOW_MEM)
    head = header(Config())._replace(start_monotonic_ns=0, start_realtime_ns=BAD)
    step = Note(first.snapshot.now_ms * 10**6 + S, NoteKind.CLOCK_SET, number=GOOD)
    trace = read_trace(write(tmp_path / "0001.lmkt", head, first, step))

    assert explain(trace, 1).realtime_ns == GOOD - S
