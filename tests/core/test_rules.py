"""Each rule alone: when it speaks, whom it spares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkd_py.core import ladder, rules
from lmkd_py.core.config import PolicyConfig, make_policy
from lmkd_py.core.decision import Verdict
from lmkd_py.core.ladder import LADDER, climb
from lmkd_py.core.signals import Signals
from lmkd_py.core.vocabulary import ABSENT, PERCEPTIBLE_APP_ADJ, KillReason, Level, ReclaimState, WakeupKind, Watermark

from .values import DEFAULTS, make_signals

SPARE = PERCEPTIBLE_APP_ADJ + 1
Rule = Callable[[Signals, PolicyConfig], Verdict | None]


@pytest.mark.parametrize("rule", LADDER)
def test_every_rule_is_silent_on_a_calm_machine(rule: Rule) -> None:
    assert rule(make_signals(), DEFAULTS) is None


@pytest.mark.parametrize("rule", LADDER)
def test_every_rule_is_named_after_its_reason_and_says_its_motive(rule: Rule) -> None:
    assert rule.__name__ == "vendor_kill" or rule.__name__.upper() in KillReason.__members__
    assert rule.__doc__


def test_the_ladder_is_in_the_order_of_the_decision_table() -> None:
    assert [rule.__name__ for rule in LADDER] == [
        "vendor_kill",
        "pressure_after_kill",
        "not_responding",
        "low_swap_and_thrashing",
        "low_mem_and_swap",
        "low_mem_and_swap_util",
        "low_mem_and_thrashing",
        "direct_recl_and_thrashing",
        "direct_recl_stuck",
        "low_filecache_after_thrashing",
        "low_mem",
    ]


def test_the_first_rule_that_matches_decides() -> None:
    everything = make_signals(
        kind=WakeupKind.EVENT,
        level=Level.CRITICAL,
        swap_is_low=1,
        thrashing_pct=500,
        breached=Watermark.MIN,
        reclaim=ReclaimState.DIRECT,
    )
    assert climb(everything, DEFAULTS) == Verdict(KillReason.NOT_RESPONDING, 0)
    after_kill = everything._replace(cycle_after_kill=1)
    assert climb(after_kill, DEFAULTS) == Verdict(KillReason.PRESSURE_AFTER_KILL, 0)
    assert climb(make_signals(), DEFAULTS) is None


def test_a_vendor_kill_has_its_own_reason_and_floor() -> None:
    signals = make_signals(kind=WakeupKind.VENDOR, vendor_reason=7, vendor_min_adj=900)
    assert rules.vendor_kill(signals, DEFAULTS) == Verdict(1007, 900)


def test_pressure_after_a_kill_counts_only_below_the_min_watermark() -> None:
    config = DEFAULTS._replace(pressure_after_kill_min_adj=300)
    breached = make_signals(cycle_after_kill=1, breached=Watermark.MIN)
    assert rules.pressure_after_kill(breached, config) == Verdict(KillReason.PRESSURE_AFTER_KILL, 300)
    assert rules.pressure_after_kill(breached._replace(breached=Watermark.LOW), config) is None
    assert rules.pressure_after_kill(breached._replace(cycle_after_kill=0), config) is None


def test_a_critical_poll_is_not_a_device_that_hangs() -> None:
    event = make_signals(kind=WakeupKind.EVENT, level=Level.CRITICAL)
    assert rules.not_responding(event, DEFAULTS) == Verdict(KillReason.NOT_RESPONDING, 0)
    assert rules.not_responding(event._replace(kind=WakeupKind.POLL), DEFAULTS) is None
    assert rules.not_responding(event._replace(level=Level.MEDIUM), DEFAULTS) is None


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (rules.low_swap_and_thrashing, {"swap_is_low": 1}),
        (rules.low_mem_and_thrashing, {"breached": Watermark.LOW}),
        (rules.direct_recl_and_thrashing, {"reclaim": ReclaimState.DIRECT}),
    ],
)
def test_thrashing_has_to_exceed_the_limit_and_spares_perceptible_apps_below_the_critical_one(
    rule: Rule, changes: dict[str, Any]
) -> None:
    def floor(pct: int) -> int | None:
        verdict = rule(make_signals(thrashing_pct=pct, **changes), DEFAULTS)
        return None if verdict is None else verdict.min_adj

    assert [floor(pct) for pct in (100, 101, 299, 300)] == [None, SPARE, SPARE, 0]


def test_low_swap_compares_with_the_configured_limit_and_low_mem_with_the_cut_one() -> None:
    cut = make_signals(swap_is_low=1, breached=Watermark.LOW, thrashing_pct=95, thrashing_limit_pct=90)
    assert rules.low_swap_and_thrashing(cut, DEFAULTS) is None
    assert rules.low_mem_and_thrashing(cut, DEFAULTS) is not None


@pytest.mark.parametrize("rule", [rules.low_swap_and_thrashing, rules.low_mem_and_swap])
def test_low_swap_spares_perceptible_apps_until_the_min_watermark(rule: Rule) -> None:
    signals = make_signals(swap_is_low=1, thrashing_pct=150, breached=Watermark.LOW)
    floors = [rule(signals._replace(breached=mark), DEFAULTS) for mark in (Watermark.LOW, Watermark.MIN)]
    assert [verdict and verdict.min_adj for verdict in floors] == [SPARE, 0]


@pytest.mark.parametrize(
    "rule", [rules.low_mem_and_swap, rules.low_mem_and_swap_util, rules.low_mem_and_thrashing, rules.low_mem]
)
def test_between_the_low_and_the_high_watermark_memory_is_not_low(rule: Rule) -> None:
    config = DEFAULTS._replace(swap_util_max_pct=40)
    signals = make_signals(swap_is_low=1, swap_util_pct=90, thrashing_pct=900)
    assert rule(signals._replace(breached=Watermark.LOW), config) is not None
    assert rule(signals._replace(breached=Watermark.HIGH), config) is None


def test_swap_utilisation_is_off_at_100_percent_and_silent_when_unknown() -> None:
    signals = make_signals(breached=Watermark.LOW, swap_util_pct=60)
    on = DEFAULTS._replace(swap_util_max_pct=59)
    assert rules.low_mem_and_swap_util(signals, on) == Verdict(KillReason.LOW_MEM_AND_SWAP_UTIL, 0)
    assert rules.low_mem_and_swap_util(signals, DEFAULTS._replace(swap_util_max_pct=60)) is None
    assert rules.low_mem_and_swap_util(signals._replace(swap_util_pct=101), DEFAULTS) is None
    assert rules.low_mem_and_swap_util(signals._replace(swap_util_pct=ABSENT), on._replace(swap_util_max_pct=0)) is None


def test_direct_reclaim_is_stuck_only_past_a_threshold_that_is_set() -> None:
    stuck = make_signals(reclaim=ReclaimState.DIRECT, direct_reclaim_ms=501)
    on = DEFAULTS._replace(direct_reclaim_threshold_ms=500)
    assert rules.direct_recl_stuck(stuck, on) == Verdict(KillReason.DIRECT_RECL_STUCK, 0)
    assert rules.direct_recl_stuck(stuck._replace(direct_reclaim_ms=500), on) is None
    assert rules.direct_recl_stuck(stuck._replace(reclaim=ReclaimState.KSWAPD), on) is None
    assert rules.direct_recl_stuck(stuck, DEFAULTS) is None


def test_the_file_cache_is_looked_at_only_while_watched() -> None:
    on = DEFAULTS._replace(filecache_min_kb=400_001)
    watched = make_signals(check_filecache=1)
    assert rules.low_filecache_after_thrashing(watched, on) == Verdict(KillReason.LOW_FILECACHE_AFTER_THRASHING, SPARE)
    assert rules.low_filecache_after_thrashing(watched, on._replace(filecache_min_kb=400_000)) is None
    assert rules.low_filecache_after_thrashing(make_signals(), on) is None
    assert rules.low_filecache_after_thrashing(watched._replace(file_lru_kb=ABSENT), on) is None


def test_low_mem_takes_its_floor_from_the_config() -> None:
    low = make_signals(breached=Watermark.LOW)
    assert rules.low_mem(low, DEFAULTS) == Verdict(KillReason.LOW_MEM, 701)
    assert rules.low_mem(low, DEFAULTS._replace(lowmem_min_adj=1001)) == Verdict(KillReason.LOW_MEM, 1001)


SIGNALS = st.builds(
    make_signals,
    kind=st.integers(0, 3),
    level=st.integers(-1, 2),
    swap_is_low=st.integers(0, 1),
    swap_util_pct=st.sampled_from([-1, 0, 50, 101]),
    reclaim=st.integers(0, 2),
    direct_reclaim_ms=st.sampled_from([0, 1, 1000]),
    thrashing_pct=st.sampled_from([0, 100, 101, 400]),
    thrashing_limit_pct=st.sampled_from([0, 100]),
    file_lru_kb=st.sampled_from([-1, 0, 10**6]),
    breached=st.integers(0, 3),
    cycle_after_kill=st.integers(0, 1),
    check_filecache=st.integers(0, 1),
    vendor_reason=st.integers(0, 1),
)
EAGER = make_policy(swap_util_max_pct=10, filecache_min_kb=1000, direct_reclaim_threshold_ms=1)


def situation(signals: Signals) -> int:
    """As judge() puts it together."""
    is_event = signals.kind == WakeupKind.EVENT
    return (
        ladder.LOW_MEM * (signals.breached <= Watermark.LOW)
        | ladder.LOW_SWAP * signals.swap_is_low
        | ladder.DIRECT * (signals.reclaim == ReclaimState.DIRECT)
        | ladder.AFTER_KILL * signals.cycle_after_kill
        | ladder.WATCHED * signals.check_filecache
        | ladder.ASKED * (signals.kind == WakeupKind.VENDOR)
        | ladder.STALLED * (is_event and signals.level == Level.CRITICAL)
    )


@settings(max_examples=1000)
@given(SIGNALS, st.sampled_from([EAGER, PolicyConfig()]))
def test_a_rule_that_is_not_asked_in_a_situation_would_have_been_silent(signals: Signals, config: PolicyConfig) -> None:
    asked = ladder.LADDERS[situation(signals)]
    assert [rule for rule in LADDER if rule in asked] == list(asked)
    assert [rule.__name__ for rule in LADDER if rule not in asked and rule(signals, config)] == []


def test_no_rule_is_asked_in_vain_in_every_situation() -> None:
    assert len(ladder.NEEDS) == len(LADDER)
    assert all(ladder.NEEDS)
    assert not ladder.LADDERS[0]
    assert ladder.LADDERS[-1] == LADDER
