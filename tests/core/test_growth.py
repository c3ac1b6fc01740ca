"""By how much a counter has really grown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.growth import PAGES_PER_MS, SLACK_MS, borne_out, growth
from lmkd_py.core.vocabulary import ABSENT

TOTALS = st.integers(0, 1 << 62)


def test_a_stall_cannot_last_longer_than_the_time_it_is_measured_in() -> None:
    assert growth(1000 + 4_294_967, 1000, 100) == 0  # what a kernel's unsigned difference made of a small negative one
    assert growth(1000 + 100_000, 1000, 100) == 100_000


def test_a_total_read_a_little_after_its_clock_still_counts() -> None:
    assert growth(150_000, 0, 100) == 150_000


def test_a_counter_that_wraps_or_sums_up_wrongly_has_not_grown() -> None:
    assert growth(1 << 32, 100, 1000, PAGES_PER_MS) == 0
    assert growth(7_000_000, 0, 0, PAGES_PER_MS) == 7_000_000


@given(TOTALS, TOTALS, st.integers(-1000, 1 << 40))
def test_growth_is_never_negative_nor_more_than_time_allows(now: int, before: int, dt_ms: int) -> None:
    grown = growth(now, before, dt_ms)
    assert 0 <= grown <= (max(dt_ms, 0) + SLACK_MS) * 1000
    assert grown in (0, now - before)


@given(TOTALS, st.integers(0, 1 << 40))
def test_all_that_can_be_is_counted(before: int, dt_ms: int) -> None:
    assert growth(before + dt_ms * 1000, before, dt_ms) == dt_ms * 1000


def test_an_absent_counter_has_not_grown() -> None:
    assert growth(50, ABSENT, 100) == 0
    assert growth(ABSENT, 50, 100) == 0


def test_only_a_stall_that_is_known_and_too_short_fails_to_bear_out_an_event() -> None:
    assert borne_out(ABSENT, ABSENT)
    assert borne_out(700_000, 700_000)
    assert not borne_out(699_999, 700_000)
    assert not borne_out(0, 70_000)
