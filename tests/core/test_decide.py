"""The whole decision: what a wakeup comes to, and what the next one remembers."""

from __future__ import annotations

from typing import Any

import pytest

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import conclude, decide, judge
from lmkd_py.core.decision import Judgement
from lmkd_py.core.snapshot import Outcome
from lmkd_py.core.state import INITIAL, PolicyState
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, Level, ReclaimState, WakeupKind, Watermark
from lmkd_py.core.watermarks import wants_watermarks

from .values import AOSP, DEFAULTS, Values, make_candidate, make_snapshot

T0 = 1_000_000
LOW_MEM: Values = {"mem_free_kb": 36_000}
MIN_MEM: Values = {"mem_free_kb": 16_000}


def settled(**changes: int) -> PolicyState:
    """State of a policy that has run for a while, a kill long ago included."""
    state = judge(make_snapshot(), INITIAL, DEFAULTS).state
    return state._replace(first_kill_done=1, **changes)


def wake(state: PolicyState, t: int = 100, config: PolicyConfig = DEFAULTS, **changes: Any) -> Judgement:
    """One evaluation `t` ms after the first, with kswapd at work."""
    snapshot = make_snapshot(**{"now_ms": T0 + t, "kswapd_progress": 100 + t, **changes})
    return judge(snapshot, state, config)


def test_decide_is_judge_and_conclude() -> None:
    snapshot = make_snapshot(candidates=(make_candidate(10, 900), make_candidate(11, 700)), **LOW_MEM)
    decision = decide(snapshot, INITIAL, DEFAULTS)
    assert decision == conclude(judge(snapshot, INITIAL, DEFAULTS), snapshot.candidates, DEFAULTS)
    assert decision.judgement[:3] == (Action.KILL, KillReason.LOW_MEM, 701)
    assert [victim.pid for victim in decision.victims] == [10]


def test_without_a_verdict_nobody_is_ranked() -> None:
    assert conclude(wake(settled()), (make_candidate(10, 900),), DEFAULTS).victims == ()


@pytest.mark.parametrize(
    ("free_pages", "breached"),
    [
        (4999, Watermark.MIN),
        (5000, Watermark.LOW),
        (9999, Watermark.LOW),
        (10_000, Watermark.HIGH),
        (14_999, Watermark.HIGH),
        (15_000, Watermark.NONE),
    ],
)
def test_a_watermark_is_breached_strictly_below_and_cma_is_not_free(free_pages: int, breached: Watermark) -> None:
    assert wake(settled(), mem_free_kb=4 * free_pages + 3).breached == breached
    assert wake(settled(), mem_free_kb=4 * (free_pages + 50), cma_free_kb=200).breached == breached


def test_no_reclaim_and_no_refault_since_the_last_wakeup_means_no_kill() -> None:
    state = settled()
    assert wake(state, kswapd_progress=100, **MIN_MEM).action == Action.BAIL
    assert wake(state, kswapd_progress=100, workingset_refault_pages=1, **MIN_MEM).action == Action.KILL


def test_the_cycle_after_a_kill_is_lost_when_it_bails_out() -> None:
    outcome = Outcome(50, 900, 1000, T0, 0, 1)
    now = wake(settled(), outcome=outcome, **MIN_MEM)
    assert now.reason == KillReason.PRESSURE_AFTER_KILL
    still = wake(settled(), outcome=outcome, kswapd_progress=100, **MIN_MEM)
    assert still.action == Action.BAIL
    assert wake(still.state, 200, **MIN_MEM).reason == KillReason.LOW_MEM


def test_a_victim_is_awaited_until_its_timeout() -> None:
    outcome = Outcome(50, 900, 1000, T0, 0, 1)
    pending = wake(settled(), 99, outcome=outcome, victim_alive=1, **LOW_MEM)
    assert pending.action == Action.PENDING
    assert wake(pending.state, 100, victim_alive=1, **LOW_MEM).action == Action.KILL
    for_ever = DEFAULTS._replace(kill_timeout_ms=0)
    assert wake(pending.state, 10**6, for_ever, victim_alive=1, **LOW_MEM).action == Action.PENDING


def test_a_lower_event_soon_after_a_higher_one_is_ignored_until_a_poll() -> None:
    event: Values = {"kind": WakeupKind.EVENT}
    critical = wake(settled(), level=Level.CRITICAL, **event).state
    assert wake(critical, 200, level=Level.MEDIUM, **event).action == Action.IGNORED
    assert wake(critical, 200, level=Level.CRITICAL, **event).action == Action.KILL
    polled = wake(critical, 200).state
    assert wake(polled, 300, level=Level.MEDIUM, **event).action == Action.NONE


def test_a_low_event_judges_nothing() -> None:
    low: Values = {"kind": WakeupKind.EVENT, "level": Level.LOW}
    assert wake(settled(), **low, **MIN_MEM).action == Action.NONE
    medium = wake(settled(), kind=WakeupKind.EVENT).state
    assert wake(medium, **low).action == Action.IGNORED


def test_a_thrashing_kill_cuts_the_limit_only_if_somebody_died() -> None:
    thrashing: Values = {"workingset_refault_pages": 90_000, **LOW_MEM}
    verdict = wake(settled(), **thrashing)
    assert verdict.reason == KillReason.LOW_MEM_AND_THRASHING
    assert verdict.state.thrashing_limit_pct == 100
    died = wake(verdict.state, 110, outcome=Outcome(50, 900, 1000, T0, 0, 1))
    assert (died.state.thrashing_limit_pct, died.state.max_thrashing_pct) == (90, 0)
    nobody = wake(verdict.state, 110)
    assert (nobody.state.thrashing_limit_pct, nobody.state.max_thrashing_pct) == (100, 119)


def test_a_victim_without_a_page_is_a_kill_but_not_to_aosp() -> None:
    outcome = Outcome(50, 900, 0, T0, 0, 1)
    assert judge(make_snapshot(outcome=outcome, victim_alive=1), INITIAL, DEFAULTS).state.killed_last == 1
    assert judge(make_snapshot(outcome=outcome, victim_alive=1), INITIAL, AOSP).state.killed_last == 0


def test_a_stall_beyond_the_critical_limit_lowers_any_floor_to_zero() -> None:
    config = DEFAULTS._replace(stall_limit_critical_pct=40)
    assert wake(settled(), config=config, psi_mem_full_avg10_centi_pct=4000, **LOW_MEM).min_adj == 701
    assert wake(settled(), config=config, psi_mem_full_avg10_centi_pct=4001, **LOW_MEM).min_adj == 0


def test_refaults_since_boot_are_no_thrashing_of_the_first_second() -> None:
    # AOSP halves by the uptime in seconds modulo 64: not at all after 1024 s.
    booted = make_snapshot(now_ms=1_024_000, workingset_refault_pages=10**9, **LOW_MEM)
    assert decide(booted, INITIAL, DEFAULTS).judgement.thrashing_pct == 0
    assert decide(booted, INITIAL, AOSP).judgement.thrashing_pct > 0


def test_direct_reclaim_without_kernel_events_lasts_since_it_was_first_seen() -> None:
    config = DEFAULTS._replace(direct_reclaim_threshold_ms=500)
    state = settled()
    for t in (100, 300, 600):
        judgement = wake(state, t, config, direct_progress=t)
        assert (judgement.action, judgement.direct_reclaim_ms) == (Action.NONE, t - 100)
        state = judgement.state
    assert wake(state, 601, config, direct_progress=601).reason == KillReason.DIRECT_RECL_STUCK
    calm = wake(state, 601, config, direct_progress=600).state
    assert wake(calm, 700, config, direct_progress=700).direct_reclaim_ms == 0
    aosp = config._replace(kind=AOSP.kind)
    assert wake(settled(), 100, aosp, direct_progress=1).direct_reclaim_ms == T0 + 100


@pytest.mark.parametrize("config", [DEFAULTS, AOSP])
@pytest.mark.parametrize("counter", [0, 7, ABSENT])
def test_a_hang_is_direct_reclaim_though_no_counter_moves(config: PolicyConfig, counter: int) -> None:
    still: Values = {"kswapd_progress": 100, "direct_progress": counter}
    state = wake(settled(direct_progress=max(counter, 0)), 100, config, **still).state
    hung = wake(state, 200, config, hangs=1, **still)
    assert (hung.action, hung.reclaim, hung.state.hangs) == (Action.NONE, ReclaimState.DIRECT, 1)
    assert hung.state.direct_progress == max(counter, 0)
    assert wake(hung.state, 300, config, hangs=1, **still).action == Action.BAIL  # it is told once
    assert wake(hung.state, 300, config, hangs=2, **still).reclaim == ReclaimState.DIRECT


def test_with_kernel_events_the_counters_are_not_looked_at() -> None:
    config = DEFAULTS._replace(direct_reclaim_threshold_ms=500)
    events: Values = {"memevents": 1, "direct_progress": 77}
    assert wake(settled(), config=config, **events).action == Action.BAIL
    stuck = wake(settled(), config=config, direct_reclaim_since_ms=T0 - 401, **events)
    assert (stuck.reason, stuck.direct_reclaim_ms) == (KillReason.DIRECT_RECL_STUCK, 501)
    assert wake(settled(), config=config, direct_reclaim_since_ms=T0 - 400, **events).action == Action.NONE


@pytest.mark.parametrize(
    ("reason", "min_adj", "improved", "aosp"),
    [
        (0, 0, Action.KILL, Action.KILL),
        (999, 900, Action.KILL, Action.KILL),
        (1000, 900, Action.INVALID, Action.KILL),
        (1999, 900, Action.INVALID, Action.KILL),
        (2000, 900, Action.INVALID, Action.INVALID),
        (-1, 900, Action.INVALID, Action.INVALID),
        (5, -1, Action.INVALID, Action.INVALID),
    ],
)
def test_a_vendor_request_has_a_range(reason: int, min_adj: int, improved: Action, aosp: Action) -> None:
    request: Values = {"kind": WakeupKind.VENDOR, "level": ABSENT, "vendor_reason": reason, "vendor_min_adj": min_adj}
    assert wake(settled(), **request).action == improved
    judgement = wake(settled(), config=AOSP, **request)
    assert judgement.action == aosp
    if aosp == Action.KILL:
        assert (judgement.reason, judgement.min_adj) == (1000 + reason, min_adj)


def test_watermarks_are_kept_for_a_minute_or_until_the_kernel_says_they_changed() -> None:
    state = settled()
    higher: Values = {"watermark_min_pages": 200_000, "watermark_low_pages": 200_000, "watermark_high_pages": 200_000}
    assert wake(state, 60_000, **higher).breached == Watermark.NONE
    assert wake(state, 60_001, **higher).breached == Watermark.MIN
    assert wake(state, 60_001, memevents=1, kswapd_since_ms=5, **higher).breached == Watermark.NONE
    assert not wants_watermarks(state, T0 + 60_000)
    assert wants_watermarks(state, T0 + 60_001)
    assert not wants_watermarks(state, T0 + 60_001, WakeupKind.POLL, memevents=1)
    assert wants_watermarks(state, T0, WakeupKind.ZONEINFO, memevents=1)
    noted = wake(state, kind=WakeupKind.ZONEINFO, **higher)
    assert noted.action == Action.NONE
    assert wake(noted.state, 200).breached == Watermark.MIN


def test_watermarks_that_were_not_read_leave_the_cached_ones() -> None:
    absent: Values = {"watermark_min_pages": ABSENT, "watermark_low_pages": ABSENT, "watermark_high_pages": ABSENT}
    assert wake(settled(), 90_000, **absent, **LOW_MEM).breached == Watermark.LOW
    never = judge(make_snapshot(**absent, **MIN_MEM), INITIAL, DEFAULTS)
    assert (never.action, never.breached) == (Action.NONE, Watermark.NONE)
    assert wants_watermarks(never.state, T0)


def test_before_the_first_kill_watermarks_are_read_again() -> None:
    state = settled()._replace(first_kill_done=0)
    assert wants_watermarks(state, T0)
    lower: Values = {"watermark_min_pages": 10, "watermark_low_pages": 20, "watermark_high_pages": 30}
    judgement = wake(state, **lower, **LOW_MEM)
    assert (judgement.action, judgement.state.first_kill_done) == (Action.NONE, 1)
    stale = wake(state, config=AOSP, **lower, **LOW_MEM)
    assert (stale.action, stale.reason, stale.breached) == (Action.KILL, KillReason.LOW_MEM, Watermark.LOW)


def test_swap_on_zram_is_only_as_free_as_the_memory_behind_it() -> None:
    backed: Values = {"mem_free_kb": 100_000, "inactive_file_kb": 50_000}
    assert wake(settled(), **backed).free_swap_kb == 150_000
    triple = DEFAULTS._replace(swap_compression_ratio=3)
    assert wake(settled(), config=triple, **backed).free_swap_kb == 450_000
    trusting = DEFAULTS._replace(swap_compression_ratio=0)
    assert wake(settled(), config=trusting, **backed).free_swap_kb == 1_500_000


def test_swap_is_low_strictly_below_its_share_and_never_where_there_is_none() -> None:
    assert wake(settled(), swap_free_kb=200_000).swap_is_low == 0
    assert wake(settled(), swap_free_kb=199_999).swap_is_low == 1
    assert wake(settled(), swap_total_kb=0, swap_free_kb=0).swap_is_low == 0
    off = DEFAULTS._replace(swap_free_low_pct=0)
    assert wake(settled(), config=off, swap_free_kb=0).swap_is_low == 0


ABSENT_CASES: dict[str, tuple[Values, Values]] = {
    "swap": ({"swap_total_kb": ABSENT, "swap_free_kb": ABSENT}, {"swap_is_low": 0, "free_swap_kb": ABSENT}),
    "anon": ({"active_anon_kb": ABSENT}, {"swap_util_pct": ABSENT}),
    "inactive file": ({"inactive_file_kb": ABSENT}, {"free_swap_kb": 1_500_000}),
    "refaults": ({"workingset_refault_pages": ABSENT}, {"thrashing_pct": 0, "action": Action.KILL}),
    "file lru": ({"nr_active_file_pages": ABSENT}, {"thrashing_pct": 0, "file_lru_kb": ABSENT}),
    "cma": ({"cma_free_kb": ABSENT}, {"breached": Watermark.LOW}),
    "psi": ({"psi_mem_full_avg10_centi_pct": ABSENT}, {"min_adj": 701}),
    "memory": ({"mem_free_kb": ABSENT}, {"action": Action.UNREADABLE, "poll_request": 0}),
}


@pytest.mark.parametrize("name", ABSENT_CASES)
def test_a_missing_counter_silences_only_what_needs_it(name: str) -> None:
    missing, expected = ABSENT_CASES[name]
    judgement = wake(settled(), **{**LOW_MEM, **missing})
    assert {field: getattr(judgement, field) for field in expected} == expected


def test_where_no_counter_tells_of_reclaim_its_silence_is_no_reason_to_bail_out() -> None:
    silent: Values = {"kswapd_progress": ABSENT, "direct_progress": ABSENT, "refill_progress": ABSENT}
    assert wake(settled(), workingset_refault_pages=ABSENT, **silent, **LOW_MEM).action == Action.KILL
    assert wake(settled(), workingset_refault_pages=0, **silent, **LOW_MEM).action == Action.BAIL
    assert wake(settled(), workingset_refault_pages=ABSENT, **{**silent, "refill_progress": 0}).action == Action.BAIL
