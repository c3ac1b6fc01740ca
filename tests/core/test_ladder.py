"""The ladder: what describes a rule agrees with the rule, and climb() asks exactly the rules that are described."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkd_py.core import rules
from lmkd_py.core import steady as policy
from lmkd_py.core.climb import climb, cuts, watches
from lmkd_py.core.config import PolicyConfig, make_policy
from lmkd_py.core.decision import SPARED, Verdict
from lmkd_py.core.futile import known_effects
from lmkd_py.core.ladder import LADDER, NOBODY_ENTAILS, STEADY_LADDER, Rung, rung_of
from lmkd_py.core.need import Need
from lmkd_py.core.room import Room
from lmkd_py.core.signals import Signals
from lmkd_py.core.state import PolicyState
from lmkd_py.core.vocabulary import ABSENT, KillReason, Level, PolicyKind, ReclaimState, WakeupKind, Watermark

from .values import DEFAULTS, STEADY, make_signals, make_snapshot

NAMES = [rung.name for rung in LADDER]
Climb = Callable[[Signals, PolicyConfig], Verdict]

SIGNALS = st.builds(
    make_signals,
    kind=st.integers(0, 3),
    level=st.integers(-1, 2),
    swap_is_low=st.booleans(),
    swap_util_pct=st.sampled_from([-1, 0, 50, 101]),
    reclaim=st.integers(0, 2),
    direct_reclaim_ms=st.sampled_from([0, 1, 1000]),
    thrashing_pct=st.sampled_from([0, 100, 101, 400]),
    thrashing_limit_pct=st.sampled_from([0, 100]),
    file_lru_kb=st.sampled_from([-1, 0, 10**6]),
    breached=st.integers(0, 3),
    cycle_after_kill=st.booleans(),
    check_filecache=st.booleans(),
    vendor_reason=st.integers(0, 1),
    vendor_min_adj=st.integers(0, 1000),
)
EAGER = make_policy(swap_util_max_pct=10, filecache_min_kb=1000, direct_reclaim_threshold_ms=1)
CONFIG = st.sampled_from([EAGER, PolicyConfig()])


def asked_by(climbing: Climb, signals: Signals, config: PolicyConfig, silent: bool = False) -> list[str]:
    """The rules that `climbing` asks, in its order; with `silent` none of them matches."""
    asked: list[str] = []

    def listen(rung: Rung) -> Climb:
        def rule(signals: Signals, config: PolicyConfig) -> Verdict:
            asked.append(rung.name)
            return SPARED if silent else rung.rule(signals, config)

        return rule

    with pytest.MonkeyPatch.context() as patch:
        for rung in LADDER:
            patch.setattr(rules, rung.name, listen(rung))
        climbing(signals, config)
    return asked


def forgotten(climbing: Climb) -> set[str]:
    """Rules of the ladder that `climbing` never asks."""
    return set(NAMES) - set(asked_by(climbing, make_signals(), DEFAULTS, silent=True))


def test_climb_forgets_no_rule_and_asks_each_once_in_the_order_of_the_ladder() -> None:
    assert not forgotten(climb)
    assert asked_by(climb, make_signals(), DEFAULTS, silent=True) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_that_climb_forgot_would_be_named(name: str) -> None:
    lines = inspect.getsource(climb).splitlines()
    (line,) = [number for number, text in enumerate(lines) if f"rules.{name}(" in text]
    lines[line] = lines[line].split("verdict =")[0] + "verdict = SPARED"
    scope: dict[str, Any] = {**climb.__globals__, "SPARED": SPARED}
    exec("\n".join(["from __future__ import annotations", *lines]), scope)
    assert forgotten(scope["climb"]) == {name}


@settings(max_examples=10 * settings().max_examples)
@given(SIGNALS, CONFIG)
def test_climb_asks_up_to_the_first_rule_that_matches_and_says_what_it_said(
    signals: Signals, config: PolicyConfig
) -> None:
    verdicts = [rung.rule(signals, config) for rung in LADDER]
    first = next((index for index, verdict in enumerate(verdicts) if verdict != SPARED), len(LADDER) - 1)
    assert asked_by(climb, signals, config) == NAMES[: first + 1]
    assert climb(signals, config) == verdicts[first]


def test_every_rule_stands_on_the_ladder_in_the_order_of_the_decision_table() -> None:
    assert NAMES == [
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
    written = [name for name, value in vars(rules).items() if getattr(value, "__module__", "") == rules.__name__]
    assert sorted(written) == sorted(NAMES)


@pytest.mark.parametrize("rung", LADDER, ids=NAMES)
def test_a_rung_is_named_after_its_reason_and_says_its_motive(rung: Rung) -> None:
    assert rung.name == "vendor_kill" or KillReason[rung.name.upper()] == rung.reason
    assert rung.motive
    assert rung.conditions


@pytest.mark.parametrize("rung", LADDER, ids=NAMES)
def test_every_rule_is_silent_on_a_calm_machine(rung: Rung) -> None:
    assert rung.rule(make_signals(), DEFAULTS) == SPARED


@settings(max_examples=10 * settings().max_examples)
@given(SIGNALS, CONFIG)
def test_a_rule_gives_its_own_reason_and_matches_exactly_when_its_conditions_hold(
    signals: Signals, config: PolicyConfig
) -> None:
    for rung in LADDER:
        verdict = rung.rule(signals, config)
        holds = all(condition(signals, config).holds for condition in rung.conditions)
        assert holds == (verdict != SPARED), rung.name
        if holds:
            own = signals.vendor_reason if rung.reason == KillReason.VENDOR_BASE else 0
            assert verdict.reason == rung.reason + own
            assert rung_of(verdict.reason) is rung


@settings(max_examples=10 * settings().max_examples)
@given(SIGNALS, SIGNALS, CONFIG)
def test_a_rule_reads_no_signal_but_those_it_needs(one: Signals, other: Signals, config: PolicyConfig) -> None:
    for rung in LADDER:
        same = other._replace(**{name: getattr(one, name) for name in rung.needs})
        assert rung.rule(same, config) == rung.rule(one, config), rung.name


@pytest.mark.parametrize("rung", LADDER, ids=NAMES)
def test_a_rung_names_no_signal_that_its_rule_does_not_read(rung: Rung) -> None:
    nodes = ast.walk(ast.parse(inspect.getsource(rung.rule)))
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "signals"}
    assert set(rung.needs) == read


def test_the_first_rule_that_matches_decides() -> None:
    everything = make_signals(
        kind=WakeupKind.EVENT,
        level=Level.CRITICAL,
        swap_is_low=True,
        thrashing_pct=500,
        breached=Watermark.MIN,
        reclaim=ReclaimState.DIRECT,
    )
    assert climb(everything, DEFAULTS) == Verdict(KillReason.NOT_RESPONDING, 0)
    after_kill = everything._replace(cycle_after_kill=True)
    assert climb(after_kill, DEFAULTS) == Verdict(KillReason.PRESSURE_AFTER_KILL, 0)
    assert climb(make_signals(), DEFAULTS) == SPARED


@pytest.mark.parametrize("before", [0, 1])
def test_a_verdict_entails_what_its_rung_says(before: int) -> None:
    for reason, entails in [(int(KillReason.NONE), NOBODY_ENTAILS), *((rung.reason, rung.entails) for rung in LADDER)]:
        kept = before if entails.check_filecache == ABSENT else entails.check_filecache
        assert (watches(reason, before), cuts(reason)) == (kept, entails.cuts_limit), reason


ROOMS = st.builds(
    Room,
    kb=st.sampled_from([-1, 9, 10]),
    reserve_kb=st.just(10),
    free_kb=st.integers(-1, 9),
    file_kb=st.integers(0, 9),
    swap_kb=st.integers(0, 9),
    dying_kb=st.integers(0, 9),
    gain_permille=st.sampled_from([0, 666, 1000]),
    unused_kb=st.sampled_from([0, 99, 100]),
)
NEEDS = st.builds(
    Need,
    room=ROOMS,
    hung=st.booleans(),
    ample_kb=st.just(100),
    stuck_ms=st.sampled_from([0, 699, 700]),
    window_ended=st.booleans(),
    stall_pct=st.integers(-1, 100),
    refault_permille=st.integers(-1, 100),
    bad_windows=st.integers(0, 3),
)


@given(NEEDS, NEEDS)
def test_the_rules_of_steady_hold_to_the_same_laws(one: Need, other: Need) -> None:
    for rung in STEADY_LADDER:
        verdict = rung.rule(one, STEADY)
        assert all(condition(one, STEADY).holds for condition in rung.conditions) == (verdict != SPARED), rung.name
        assert verdict == SPARED or verdict.reason == rung.reason == KillReason[rung.name.upper()]
        assert rung.rule(other._replace(**{name: getattr(one, name) for name in rung.needs}), STEADY) == verdict
        assert rung_of(rung.reason, PolicyKind.STEADY) is rung
        assert rung.motive


def asked_by_steady(silent: bool) -> list[str]:
    """The rules that steady() asks of a calm machine, in its order; with `silent` none of them matches."""
    asked: list[str] = []

    def listen(rung: Rung) -> Callable[[Need, PolicyConfig], Verdict]:
        def rule(need: Need, config: PolicyConfig) -> Verdict:
            asked.append(rung.name)
            return SPARED if silent else Verdict(rung.reason, 0)

        return rule

    with pytest.MonkeyPatch.context() as patch:
        for rung in STEADY_LADDER:
            patch.setattr(policy, rung.name, listen(rung))
        policy.steady(make_snapshot(), PolicyState(), 0, False, policy.NO_MEMORY, known_effects(PolicyState()), STEADY)
    return asked


def test_steady_asks_each_rule_once_in_the_order_of_its_ladder_up_to_the_first_that_matches() -> None:
    names = [rung.name for rung in STEADY_LADDER]
    assert asked_by_steady(silent=True) == names
    assert asked_by_steady(silent=False) == names[:1]


def test_a_reason_that_no_rule_has_is_an_error() -> None:
    with pytest.raises(LookupError, match="no rule has the kill reason 77"):
        rung_of(77)


def test_no_motive_says_more_than_the_conditions_of_its_rule() -> None:
    """A stall, a hang or a full swap is nothing a rule can know from its conditions."""
    for rung in LADDER:
        too_much = ("every task", "stood still", "hangs", "are failing", "no room")
        more = [words for words in too_much if words in rung.motive.lower()]
        assert not more, rung.name
