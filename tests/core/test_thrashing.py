"""The thrashing window by itself."""

from __future__ import annotations

import pytest

from lmkd_py.core.thrashing import Thrashing, Window, measure

from .values import AOSP, DEFAULTS

START = 1_000_000


WINDOW = Window(growth_pct=7, base_file_lru_pages=999, init_refault_pages=5000, start_ms=START, limit_pct=90)


def growth_pct(refaults: int, file_lru_pages: int) -> int:
    """Thrashing in a first window, with nothing carried over."""
    return measure(START, refaults, 0, Window(0, file_lru_pages, 0, START, 90), DEFAULTS).pct


def test_refaults_are_a_percentage_of_the_file_lru_at_the_start_of_the_window() -> None:
    within = measure(START + 1000, 5500, 123, WINDOW, DEFAULTS)
    assert within == Thrashing(50 + 7, WINDOW)


def test_after_a_second_a_new_window_begins_with_the_configured_limit() -> None:
    assert measure(START + 1001, 5500, 123, WINDOW, DEFAULTS) == Thrashing(25, Window(25, 123, 5500, START + 1001, 100))


@pytest.mark.parametrize(("refaults", "kept"), [(890, 44), (900, 90), (910, 91)])
def test_growth_over_the_limit_is_carried_whole_through_one_window(refaults: int, kept: int) -> None:
    assert measure(START + 1500, 5000 + refaults, 1, WINDOW, DEFAULTS).window.growth_pct == kept


@pytest.mark.parametrize(("elapsed_ms", "kept"), [(1999, 400), (2000, 100), (3700, 50), (62_000, 0), (64_000, 0)])
def test_growth_is_halved_for_each_window_that_passed(elapsed_ms: int, kept: int) -> None:
    assert measure(START + elapsed_ms, 9000, 1, WINDOW, DEFAULTS).window.growth_pct == kept


def test_aosp_shifts_by_the_seconds_modulo_64() -> None:
    assert measure(START + 65_000, 9000, 1, WINDOW, AOSP).window.growth_pct == 200
    assert measure(START + 65_000, 9000, 1, WINDOW, DEFAULTS).window.growth_pct == 0


def test_a_counter_that_went_back_is_truncated_toward_zero() -> None:
    assert growth_pct(-15, 999) == -1
    assert growth_pct(-5, 999) == 0
    assert growth_pct(19, 999) == 1


def test_broken_counters_stay_within_64_bits() -> None:
    for refaults in (2**62, -(2**62)):
        assert abs(growth_pct(refaults, 0)) < 2**63
        pct = measure(START, 5000 + refaults, 0, WINDOW._replace(base_file_lru_pages=0, growth_pct=2**62), DEFAULTS).pct
        assert abs(pct) < 2**63


def test_a_file_lru_that_cannot_be_is_nothing_to_divide_by() -> None:
    assert growth_pct(3, -1) == 300
