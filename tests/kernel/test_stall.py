"""The stall meter: pure arithmetic on PSI totals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.vocabulary import ABSENT, Level
from lmkd_py.kernel.triggers import StallMeter


def test_the_first_total_is_only_a_base() -> None:
    assert StallMeter(1000, 70, 700).update(0, 10**12, 10**12) == ABSENT


def test_a_stall_that_reaches_the_threshold_within_the_window_is_told() -> None:
    meter = StallMeter(1000, 70, 700)
    assert meter.update(0, 0, 0) == ABSENT
    assert meter.update(100, 69_999, 0) == ABSENT
    assert meter.update(200, 70_000, 0) == Level.MEDIUM


def test_full_outranks_some() -> None:
    meter = StallMeter(1000, 70, 700)
    meter.update(0, 0, 0)
    assert meter.update(900, 800_000, 700_000) == Level.CRITICAL


def test_stall_that_left_the_window_does_not_count() -> None:
    meter = StallMeter(1000, 70, 0)
    meter.update(0, 0, 0)
    meter.update(100, 60_000, 0)
    assert meter.update(1100, 60_000, 0) == ABSENT
    assert meter.update(1200, 120_000, 0) == ABSENT  # 60 ms since 1100, the other 60 ms are older than a second


def test_one_level_speaks_once_a_window_as_the_kernel_does() -> None:
    meter = StallMeter(1000, 70, 700)
    meter.update(0, 0, 0)
    assert meter.update(100, 100_000, 0) == Level.MEDIUM
    assert meter.update(200, 200_000, 0) == ABSENT
    assert meter.update(300, 300_000, 900_000) == Level.CRITICAL
    assert meter.update(1049, 800_000, 900_000) == ABSENT
    assert meter.update(1100, 900_000, 900_000) == Level.MEDIUM


def test_a_threshold_of_zero_and_an_absent_total_are_silent() -> None:
    meter = StallMeter(1000, 0, 1)
    meter.update(0, 0, ABSENT)
    assert meter.update(100, 10**9, ABSENT) == ABSENT
    meter.update(200, 0, 0)
    assert meter.update(300, 0, 1000) == Level.CRITICAL


def test_after_a_reset_the_next_total_is_a_base_again() -> None:
    meter = StallMeter(1000, 70, 700)
    meter.update(0, 0, 0)
    meter.reset()
    assert meter.update(100, 10**9, 10**9) == ABSENT
    assert meter.update(200, 10**9 + 70_000, 10**9) == Level.MEDIUM


def test_a_window_is_whole_however_fast_the_totals_come() -> None:
    meter = StallMeter(10_000, 70, 0)
    told = [meter.update(now, now * 8, 0) for now in range(0, 10_001, 10)]  # 8 us a ms: 70 ms in 8.75 s
    assert told.count(Level.MEDIUM) == 1
    assert abs(told.index(Level.MEDIUM) * 10 - 8750) <= meter.pace_ms


@given(
    st.integers(100, 10_000),
    st.integers(1, 500),
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 300_000)), min_size=1, max_size=200),
)
def test_it_agrees_with_an_obvious_meter_that_forgets_nothing(
    window_ms: int, stall_ms: int, steps: list[tuple[int, int]]
) -> None:
    meter = StallMeter(window_ms, stall_ms, 0)
    now = total = 0
    history = [(0, 0)]
    quiet_until = -1
    assert meter.update(0, 0, 0) == ABSENT
    due = meter.pace_ms
    for pause, stalled in steps:
        now, total = now + pause, total + stalled
        if now < due:
            assert meter.update(now, total, 0) == ABSENT
            continue
        due = now + meter.pace_ms
        history.append((now, total))
        oldest = next(value for when, value in history if now - when <= window_ms)
        expected = Level.MEDIUM if total - oldest >= stall_ms * 1000 and now >= quiet_until else ABSENT
        if expected == Level.MEDIUM:
            quiet_until = now + window_ms
        assert meter.update(now, total, 0) == expected
