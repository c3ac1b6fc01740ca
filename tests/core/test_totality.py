"""decide() answers anything well-typed, always the same, and never names somebody who must not die."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lmkd_py.core import polling
from lmkd_py.core.config import PolicyConfig, make_policy
from lmkd_py.core.decide import conclude, decide, judge
from lmkd_py.core.describe import describe
from lmkd_py.core.futile import KB_LIMIT
from lmkd_py.core.snapshot import Candidate, Outcome, Snapshot
from lmkd_py.core.stall import PERMILLE_LIMIT, VAIN_KILLS, WAIT_MAX_MS
from lmkd_py.core.state import INITIAL, PolicyState
from lmkd_py.core.vocabulary import ABSENT, ADJ_MAX, CACHED_APP_MIN_ADJ, Action, PolicyKind

from .values import make_snapshot

INT64 = st.integers(-(2**63), 2**63 - 1)
# Small values meet each other and the limits; large ones break arithmetic.
COUNTER = st.one_of(st.integers(-1, 5), st.integers(-1, 100_000), st.integers(0, 2**62), INT64)
ADJ = st.one_of(st.sampled_from([-1000, -1, 0, 200, 201, 900, 1000]), st.integers(-1000, 1000))
CANDIDATE = st.builds(Candidate, st.integers(-1, 12), COUNTER, ADJ, COUNTER, COUNTER, st.integers(0, 5))
OUTCOME = st.builds(Outcome, *[COUNTER] * len(Outcome._fields))
STATE = st.one_of(st.just(INITIAL), st.builds(PolicyState, *[COUNTER] * len(PolicyState._fields)))
CONFIG = st.builds(
    make_policy,
    kind=st.integers(0, 2),
    kill_heaviest_task=st.integers(0, 1),
    kill_timeout_ms=st.sampled_from([-1, 0, 1, 100, 2**31 - 1]),
    swap_free_low_pct=st.integers(0, 100),
    swap_util_max_pct=st.integers(0, 100),
    swap_compression_ratio=st.sampled_from([0, 1, 3, 2**31 - 1]),
    thrashing_limit_pct=st.sampled_from([0, 1, 100, 10**6]),
    thrashing_limit_decay_pct=st.integers(0, 100),
    filecache_min_kb=st.sampled_from([0, 1, 10**6]),
    stall_limit_critical_pct=st.integers(0, 100),
    pressure_after_kill_min_adj=st.integers(0, 1000),
    direct_reclaim_threshold_ms=st.sampled_from([0, 1, 500]),
    lowmem_min_adj=st.integers(201, 1001),
    futile_kills_max=st.sampled_from([0, 1, 3]),
    reserve_permille=st.sampled_from([0, 1, 15, 1000]),
    stall_some_pct=st.sampled_from([0, 20, 101]),
    stall_refault_permille=st.sampled_from([0, 10, 10**6]),
    stall_windows=st.sampled_from([1, 2, 100]),
    stall_min_adj=st.integers(201, 1001),
    stuck_ms=st.sampled_from([0, 1, 700]),
    relief_times=st.sampled_from([0, 1, 3]),
)


SUMMED = 1 << 50  # no machine counts further, in kB or ms; what the state remembers are sums and products of counters


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Anything that has the types of a snapshot; kinds and levels are mostly the real ones."""
    values: dict[str, Any] = {name: draw(COUNTER) for name in Snapshot._fields}
    values["kind"] = draw(st.one_of(st.integers(1, 4), INT64))
    values["level"] = draw(st.one_of(st.integers(-1, 2), INT64))
    values["metered_level"] = draw(st.one_of(st.just(ABSENT), st.integers(-1, 2), INT64))
    values["page_kb"] = draw(st.one_of(st.sampled_from([4, 16, 64]), COUNTER))
    values["outcome"] = draw(OUTCOME)
    values["candidates"] = tuple(draw(st.lists(CANDIDATE, max_size=8)))
    return Snapshot(**values)


@given(snapshots(), STATE, CONFIG)
@example(make_snapshot(page_kb=0), INITIAL, PolicyConfig())
def test_decide_is_total_and_deterministic(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> None:
    judgement, victims = decision = decide(snapshot, state, config)
    assert decide(snapshot, state, config) == decision
    assert conclude(judge(snapshot, state, config), snapshot.candidates, config) == decision
    assert Action(judgement.action)
    assert all(type(value) is int for value in judgement.state)
    assert all(isinstance(value, int) for value in judgement[:-1])
    assert (judgement.action == Action.KILL) == (judgement.min_adj >= 0)
    assert judgement.action == Action.KILL or not victims
    assert describe(judgement, snapshot, config) or judgement.action != Action.KILL
    for victim in victims:
        assert victim in snapshot.candidates
        assert victim.adj >= max(judgement.min_adj, 0)
        assert victim.pid > 1
    adjs = [victim.adj for victim in victims]
    if config.kind == PolicyKind.STEADY and adjs and adjs[0] >= CACHED_APP_MIN_ADJ:
        adjs = adjs[1:]  # one of the cached tier may go before those in line
    assert adjs == sorted(adjs, reverse=True)
    assert len(victims) <= len(snapshot.candidates)


CLOCK = st.one_of(st.integers(0, 100_000), st.integers(0, 2**62))
STATE_INT64 = st.builds(PolicyState, *[INT64] * len(PolicyState._fields))


@st.composite
def of_steady(draw: st.DrawFn) -> Snapshot:
    """Any int64 in any field, but of a wakeup that STEADY measures."""
    values: dict[str, Any] = {name: draw(st.one_of(INT64, COUNTER)) for name in Snapshot._fields}
    values |= {"kind": draw(st.sampled_from([1, 2])), "level": 1, "metered_level": ABSENT, "page_kb": 4}
    values |= {"mem_free_kb": draw(st.integers(0, 2**63 - 1)), "candidates": ()}
    # Counters may be broken; the clock is not.
    values |= {"now_ms": draw(CLOCK), "outcome": draw(OUTCOME)._replace(at_ms=draw(CLOCK))}
    return Snapshot(**values)


@given(of_steady(), st.one_of(STATE, STATE_INT64), CONFIG)
def test_steady_never_raises_whatever_it_noted(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> None:
    config = config._replace(kind=int(PolicyKind.STEADY))
    judgement = judge(snapshot, state, config)
    assert judgement.min_adj in (ABSENT, 0, 201, config.stall_min_adj)
    assert describe(judgement, snapshot, config) or judgement.action != Action.KILL


@given(st.lists(of_steady(), max_size=8), CONFIG)
def test_what_steady_remembers_stays_within_its_ranges(chain: list[Snapshot], config: PolicyConfig) -> None:
    config, state = config._replace(kind=int(PolicyKind.STEADY)), INITIAL
    for drawn in chain:
        whole: dict[str, Any] = {name: value for name, value in zip(drawn._fields, drawn) if isinstance(value, int)}
        numbers: dict[str, Any] = {name: max(-SUMMED, min(value, SUMMED)) for name, value in whole.items()}
        snapshot = drawn._replace(**numbers)
        judgement = judge(snapshot, state, config)
        state = judgement.state
        assert all(-(2**63) <= value < 2**63 for value in (*judgement[:-1], *state)), "it does not fit a record"
        assert ABSENT <= state.dying_kb <= KB_LIMIT
        assert ABSENT <= state.stall_refault_permille <= PERMILLE_LIMIT
        assert 0 <= state.stall_windows <= config.stall_windows
        assert 0 <= state.stall_kills <= VAIN_KILLS
        assert 0 <= state.stall_wait_ms <= WAIT_MAX_MS
        assert state.stall_verdict in (0, 1)


@given(st.lists(snapshots(), max_size=5), CONFIG, st.integers(0, 1))
def test_a_chain_of_wakeups_keeps_state_and_polling_whole(
    chain: list[Snapshot], config: PolicyConfig, struck: int
) -> None:
    state, poll = INITIAL, polling.IDLE
    for snapshot in chain:
        judgement = judge(snapshot, state, config)
        state = judgement.state
        poll = polling.after(poll, judgement, struck, snapshot.now_ms, snapshot.kind, snapshot.level % 3, config)
        assert polling.wait_ms(poll, snapshot.now_ms, config) >= -1
        assert polling.poll_due(poll, snapshot.now_ms + 100) in (True, False)
        assert poll.holding == struck or judgement.action in (Action.PENDING, Action.IGNORED)
        assert all(isinstance(value, int) for value in (*state, *poll))


def test_the_snapshot_is_small_enough_for_the_interpreters_own_pools() -> None:
    assert len(Snapshot._fields) < 60
    assert ADJ_MAX == 1000


CORE = Path(__file__).resolve().parents[2] / "lmkd_py" / "core"


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.name)
def test_core_can_reach_no_clock_file_or_foreign_code(path: Path) -> None:
    allowed = {"__future__", "typing", "enum", "operator"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.module in allowed if node.level == 0 else node.level == 1
        elif isinstance(node, ast.Name):
            assert node.id not in {"open", "print", "input", "exec", "eval", "__import__", "globals"}
        elif isinstance(node, (ast.Global, ast.Nonlocal, ast.Lambda)):
            raise AssertionError(f"{path.name}:{node.lineno}: {type(node).__name__} has no place in a pure function")
