"""What judge() makes of events that are not true, counters that cannot be, boosted watermarks and zram's own ratio."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.config import MEASURED
from lmkd_py.core.decide import judge
from lmkd_py.core.numbers import START
from lmkd_py.core.state import INITIAL
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, Level, ReclaimState, WakeupKind, Watermark

from .test_decide import LOW_MEM, T0, settled, wake
from .values import AOSP, DEFAULTS, Values, make_snapshot

CRITICAL: Values = {"kind": WakeupKind.EVENT, "level": Level.CRITICAL}
TINY: Values = {**CRITICAL, "event_stall_us": 200, "event_threshold_us": 700_000}


def test_a_critical_event_with_a_tiny_stall_is_a_poll_without_a_level() -> None:
    judgement = wake(settled(), **TINY)
    assert (judgement.action, judgement.reason) == (Action.NONE, KillReason.NONE)
    assert judgement.poll_request & START  # something stalled: look at it for a second


def test_a_tiny_event_still_finds_a_real_shortage() -> None:
    assert wake(settled(), **TINY, **LOW_MEM).reason == KillReason.LOW_MEM


@pytest.mark.parametrize("stall_us", [700_000, 900_000, -1])
def test_a_critical_event_that_is_borne_out_or_cannot_be_checked_kills(stall_us: int) -> None:
    judgement = wake(settled(), **{**TINY, "event_stall_us": stall_us})
    assert (judgement.action, judgement.reason, judgement.min_adj) == (Action.KILL, KillReason.NOT_RESPONDING, 0)


def test_aosp_believes_every_event() -> None:
    assert wake(settled(), config=AOSP, **TINY).reason == KillReason.NOT_RESPONDING


def test_an_event_that_is_not_true_does_not_mute_a_true_one_of_lower_level() -> None:
    state = wake(settled(), **TINY).state
    event: Values = {"kind": WakeupKind.EVENT, "level": Level.MEDIUM}
    assert wake(state, 200, **event).action != Action.IGNORED
    assert wake(wake(settled(), config=AOSP, **TINY).state, 200, AOSP, **event).action == Action.IGNORED


METERED: Values = {
    "kind": WakeupKind.POLL, "metered_level": Level.CRITICAL, "event_stall_us": 800_000, "event_threshold_us": 700_000
}  # fmt: skip


def test_where_the_meter_speaks_a_poll_is_an_event_of_its_level() -> None:
    metered, event = wake(settled(), **METERED), wake(settled(), **CRITICAL)
    assert (metered.action, metered.reason) == (Action.KILL, KillReason.NOT_RESPONDING)
    assert metered == event
    quiet = wake(settled(), **{**METERED, "metered_level": ABSENT})
    assert quiet.action != Action.KILL


def test_a_meter_that_speaks_raises_a_low_event_and_is_filtered_like_an_event() -> None:
    low: Values = {"kind": WakeupKind.EVENT, "level": Level.LOW}
    assert wake(settled(), **{**METERED, **low}).reason == KillReason.NOT_RESPONDING
    after = wake(settled(), **CRITICAL).state
    medium: Values = {"metered_level": Level.MEDIUM, "event_stall_us": 70_000, "event_threshold_us": 70_000}
    assert wake(after, 200, **{**METERED, **medium}).action == Action.IGNORED


WRAP = 1 << 32


def test_refaults_that_jump_by_more_than_memory_can_move_are_no_thrashing() -> None:
    state = wake(settled(), workingset_refault_pages=1000).state
    jumped = wake(state, 200, workingset_refault_pages=1000 + WRAP, **LOW_MEM)
    assert (jumped.thrashing_pct, jumped.reason) == (1, KillReason.LOW_MEM)
    assert jumped.state.last_refault_pages == 1000 + WRAP
    assert wake(jumped.state, 300, workingset_refault_pages=1750 + WRAP).thrashing_pct == 2
    assert wake(state, 200, AOSP, workingset_refault_pages=1000 + WRAP).thrashing_pct > 10**6


def test_refaults_that_fall_and_come_back_are_no_thrashing() -> None:
    state = wake(settled(), workingset_refault_pages=1_000_000, t=500).state
    state = judge(make_snapshot(now_ms=T0 + 3000, workingset_refault_pages=1_000_000), state, DEFAULTS).state
    fell = wake(state, 3100, workingset_refault_pages=0)
    assert fell.state.last_refault_pages == 1_000_000
    assert wake(fell.state, 3200, workingset_refault_pages=1_000_010).thrashing_pct == fell.thrashing_pct
    # Twice in a row: the counter was set back, and what comes then is growth.
    again = wake(fell.state, 3200, workingset_refault_pages=0)
    assert again.state.last_refault_pages == 0
    grown = wake(again.state, 3300, workingset_refault_pages=75_000)
    assert grown.thrashing_pct == again.thrashing_pct + 99


@pytest.mark.parametrize("name", ["direct_progress", "kswapd_progress", "refill_progress"])
@pytest.mark.parametrize("value", [100 + (1 << 62), 1])
def test_a_reclaim_counter_that_falls_or_jumps_has_not_moved(name: str, value: int) -> None:
    start: Values = dict.fromkeys(("direct_progress", "kswapd_progress", "refill_progress"), 100)
    state = wake(settled(), **start).state
    state = wake(state, 200, **start).state
    seen = wake(state, 300, **{**start, name: value})
    assert (seen.reclaim, seen.action) == (ReclaimState.NONE, Action.BAIL)
    assert wake(seen.state, 400, **{**start, name: value + 1}).reclaim != ReclaimState.NONE
    assert wake(state, 300, AOSP, **{**start, name: value}).reclaim != ReclaimState.NONE


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 10_000)), min_size=1, max_size=30))
def test_without_broken_counters_thrashing_is_what_it_was(steps: list[tuple[int, int]]) -> None:
    """Growth that can be is counted to the page: a jump of the raw counter beforehand changes nothing."""
    plain = jumped = wake(settled(), 10, workingset_refault_pages=5).state
    jumped = wake(jumped, 20, workingset_refault_pages=5 + WRAP).state
    plain = wake(plain, 20, workingset_refault_pages=5).state
    now, total = 20, 5
    for pause, pages in steps:
        now, total = now + pause, total + pages
        first = wake(plain, now, workingset_refault_pages=total)
        second = wake(jumped, now, workingset_refault_pages=total + WRAP)
        assert first.thrashing_pct == second.thrashing_pct
        plain, jumped = first.state, second.state


BOOSTED: Values = {
    "watermark_min_pages": 7_000, "watermark_low_pages": 12_000, "watermark_high_pages": 17_000,
    "watermark_boost_pages": 2_000,
}  # fmt: skip


def test_watermarks_are_compared_without_their_boost() -> None:
    state = settled(watermark_high_pages=-1)
    assert wake(state, mem_free_kb=4 * 5_000, **BOOSTED).breached == Watermark.LOW
    assert wake(state, mem_free_kb=4 * 4_999, **BOOSTED).breached == Watermark.MIN
    assert wake(state, mem_free_kb=4 * 15_000, **BOOSTED).breached == Watermark.NONE
    kept = wake(state, mem_free_kb=4 * 15_000, **BOOSTED).state
    assert (kept.watermark_min_pages, kept.watermark_low_pages, kept.watermark_high_pages) == (5_000, 10_000, 15_000)


def test_aosp_knows_no_boost_and_a_kernel_that_does_not_tell_has_none() -> None:
    state = settled(watermark_high_pages=-1)
    assert wake(state, config=AOSP, mem_free_kb=4 * 6_999, **BOOSTED).breached == Watermark.MIN
    assert wake(state, mem_free_kb=4 * 6_999, **{**BOOSTED, "watermark_boost_pages": -1}).breached == Watermark.MIN


def test_word_of_new_watermarks_is_taken_without_boost_too() -> None:
    noted = judge(make_snapshot(kind=WakeupKind.ZONEINFO, level=-1, **BOOSTED), settled(), DEFAULTS).state
    assert noted.watermark_min_pages == 5_000


ZRAM: Values = {
    "mem_free_kb": 40_000, "inactive_file_kb": 10_000, "swap_total_kb": 2_000_000, "swap_free_kb": 1_900_000,
    "zram_stored_kb": 100_000, "zram_used_kb": 25_000, "zram_swap_kb": 2_000_000,
}  # fmt: skip


def test_free_swap_on_zram_is_measured_with_the_ratio_it_reaches() -> None:
    seen = wake(settled(), **ZRAM)
    assert (seen.free_swap_kb, seen.swap_is_low) == (4 * 50_000, 0)
    incompressible = wake(settled(), **{**ZRAM, "zram_used_kb": 101_000})
    assert (incompressible.free_swap_kb // 1000, incompressible.swap_is_low) == (49, 1)


def test_a_zram_that_holds_next_to_nothing_is_taken_to_halve() -> None:
    assert wake(settled(), **{**ZRAM, "zram_stored_kb": 4, "zram_used_kb": 12}).free_swap_kb == 2 * 50_000


def test_a_zram_of_zeros_takes_no_memory() -> None:
    assert wake(settled(), **{**ZRAM, "zram_used_kb": 0}).free_swap_kb == 1_900_000


@pytest.mark.parametrize(("ratio", "free_kb"), [(MEASURED, 200_000), (0, 1_900_000), (1, 50_000), (3, 150_000)])
def test_a_ratio_that_somebody_set_is_the_ratio(ratio: int, free_kb: int) -> None:
    assert wake(settled(), config=DEFAULTS._replace(swap_compression_ratio=ratio), **ZRAM).free_swap_kb == free_kb


def test_where_not_all_swap_is_zram_and_to_aosp_the_default_ratio_is_one() -> None:
    other: dict[str, Any] = {**ZRAM, "zram_stored_kb": -1, "zram_used_kb": -1}
    assert wake(settled(), **other).free_swap_kb == 50_000
    assert wake(settled(), **{**ZRAM, "zram_swap_kb": 1_000_000}).free_swap_kb == 50_000
    assert wake(settled(), config=AOSP, **ZRAM).free_swap_kb == 50_000


def test_the_very_first_evaluation_takes_old_counters_as_they_are() -> None:
    first = judge(make_snapshot(workingset_refault_pages=1 << 40, direct_progress=1 << 40), INITIAL, DEFAULTS)
    assert (first.thrashing_pct, first.state.last_refault_pages) == (0, 1 << 40)
