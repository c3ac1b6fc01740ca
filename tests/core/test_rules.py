"""Each rule alone: when it speaks, whom it spares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lmkd_py.core import rules
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decision import SPARED, Verdict
from lmkd_py.core.signals import Signals
from lmkd_py.core.vocabulary import ABSENT, PERCEPTIBLE_APP_ADJ, KillReason, Level, ReclaimState, WakeupKind, Watermark

from .values import DEFAULTS, make_signals

SPARE = PERCEPTIBLE_APP_ADJ + 1
Rule = Callable[[Signals, PolicyConfig], Verdict]


def test_a_vendor_kill_has_its_own_reason_and_floor() -> None:
    signals = make_signals(kind=WakeupKind.VENDOR, vendor_reason=7, vendor_min_adj=900)
    assert rules.vendor_kill(signals, DEFAULTS) == Verdict(1007, 900)


def test_pressure_after_a_kill_counts_only_below_the_min_watermark() -> None:
    config = DEFAULTS._replace(pressure_after_kill_min_adj=300)
    breached = make_signals(cycle_after_kill=True, breached=Watermark.MIN)
    assert rules.pressure_after_kill(breached, config) == Verdict(KillReason.PRESSURE_AFTER_KILL, 300)
    assert rules.pressure_after_kill(breached._replace(breached=Watermark.LOW), config) == SPARED
    assert rules.pressure_after_kill(breached._replace(cycle_after_kill=False), config) == SPARED


def test_a_critical_poll_is_not_a_device_that_hangs() -> None:
    event = make_signals(kind=WakeupKind.EVENT, level=Level.CRITICAL)
    assert rules.not_responding(event, DEFAULTS) == Verdict(KillReason.NOT_RESPONDING, 0)
    assert rules.not_responding(event._replace(kind=WakeupKind.POLL), DEFAULTS) == SPARED
    assert rules.not_responding(event._replace(level=Level.MEDIUM), DEFAULTS) == SPARED


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (rules.low_swap_and_thrashing, {"swap_is_low": True}),
        (rules.low_mem_and_thrashing, {"breached": Watermark.LOW}),
        (rules.direct_recl_and_thrashing, {"reclaim": ReclaimState.DIRECT}),
    ],
)
def test_thrashing_has_to_exceed_the_limit_and_spares_perceptible_apps_below_the_critical_one(
    rule: Rule, changes: dict[str, Any]
) -> None:
    def floor(pct: int) -> int | None:
        verdict = rule(make_signals(thrashing_pct=pct, **changes), DEFAULTS)
        return None if verdict == SPARED else verdict.min_adj

    assert [floor(pct) for pct in (100, 101, 299, 300)] == [None, SPARE, SPARE, 0]


def test_low_swap_compares_with_the_configured_limit_and_low_mem_with_the_cut_one() -> None:
    cut = make_signals(swap_is_low=True, breached=Watermark.LOW, thrashing_pct=95, thrashing_limit_pct=90)
    assert rules.low_swap_and_thrashing(cut, DEFAULTS) == SPARED
    assert rules.low_mem_and_thrashing(cut, DEFAULTS) != SPARED


@pytest.mark.parametrize("rule", [rules.low_swap_and_thrashing, rules.low_mem_and_swap])
def test_low_swap_spares_perceptible_apps_until_the_min_watermark(rule: Rule) -> None:
    signals = make_signals(swap_is_low=True, thrashing_pct=150, breached=Watermark.LOW)
    floors = [rule(signals._replace(breached=mark), DEFAULTS) for mark in (Watermark.LOW, Watermark.MIN)]
    assert [verdict.min_adj for verdict in floors] == [SPARE, 0]


@pytest.mark.parametrize(
    "rule", [rules.low_mem_and_swap, rules.low_mem_and_swap_util, rules.low_mem_and_thrashing, rules.low_mem]
)
def test_between_the_low_and_the_high_watermark_memory_is_not_low(rule: Rule) -> None:
    config = DEFAULTS._replace(swap_util_max_pct=40)
    signals = make_signals(swap_is_low=True, swap_util_pct=90, thrashing_pct=900)
    assert rule(signals._replace(breached=Watermark.LOW), config) != SPARED
    assert rule(signals._replace(breached=Watermark.HIGH), config) == SPARED


def test_swap_utilisation_is_off_at_100_percent_and_silent_when_unknown() -> None:
    signals = make_signals(breached=Watermark.LOW, swap_util_pct=60)
    on = DEFAULTS._replace(swap_util_max_pct=59)
    assert rules.low_mem_and_swap_util(signals, on) == Verdict(KillReason.LOW_MEM_AND_SWAP_UTIL, 0)
    assert rules.low_mem_and_swap_util(signals, DEFAULTS._replace(swap_util_max_pct=60)) == SPARED
    assert rules.low_mem_and_swap_util(signals._replace(swap_util_pct=101), DEFAULTS) == SPARED
    unknown = signals._replace(swap_util_pct=ABSENT)
    assert rules.low_mem_and_swap_util(unknown, on._replace(swap_util_max_pct=0)) == SPARED


def test_direct_reclaim_is_stuck_only_past_a_threshold_that_is_set() -> None:
    stuck = make_signals(reclaim=ReclaimState.DIRECT, direct_reclaim_ms=501)
    on = DEFAULTS._replace(direct_reclaim_threshold_ms=500)
    assert rules.direct_recl_stuck(stuck, on) == Verdict(KillReason.DIRECT_RECL_STUCK, 0)
    assert rules.direct_recl_stuck(stuck._replace(direct_reclaim_ms=500), on) == SPARED
    assert rules.direct_recl_stuck(stuck._replace(reclaim=ReclaimState.KSWAPD), on) == SPARED
    assert rules.direct_recl_stuck(stuck, DEFAULTS) == SPARED


def test_the_file_cache_is_looked_at_only_while_watched() -> None:
    on = DEFAULTS._replace(filecache_min_kb=400_001)
    watched = make_signals(check_filecache=True)
    assert rules.low_filecache_after_thrashing(watched, on) == Verdict(KillReason.LOW_FILECACHE_AFTER_THRASHING, SPARE)
    assert rules.low_filecache_after_thrashing(watched, on._replace(filecache_min_kb=400_000)) == SPARED
    assert rules.low_filecache_after_thrashing(make_signals(), on) == SPARED
    assert rules.low_filecache_after_thrashing(watched._replace(file_lru_kb=ABSENT), on) == SPARED


def test_low_mem_takes_its_floor_from_the_config() -> None:
    low = make_signals(breached=Watermark.LOW)
    assert rules.low_mem(low, DEFAULTS) == Verdict(KillReason.LOW_MEM, 701)
    assert rules.low_mem(low, DEFAULTS._replace(lowmem_min_adj=1001)) == Verdict(KillReason.LOW_MEM, 1001)
