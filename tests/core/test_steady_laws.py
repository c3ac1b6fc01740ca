"""What holds of STEADY for any snapshot, state and config."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import judge
from lmkd_py.core.room import room_of
from lmkd_py.core.snapshot import Snapshot
from lmkd_py.core.state import INITIAL, PolicyState
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, Level, WakeupKind

from .steady_board import NOBODY, said
from .test_totality import CONFIG, COUNTER, STATE, snapshots
from .values import STEADY, Values, make_snapshot

EXACTLY = {"now_ms": st.integers(0, 2**40), "page_kb": st.sampled_from([4, 16, 64]), "victim_alive": st.integers(0, 1)}
STEADY_CONFIG = CONFIG.map(lambda config: config._replace(kind=STEADY.kind))


@st.composite
def sober(draw: st.DrawFn) -> Snapshot:
    """Any snapshot that can be judged and is no vendor's request."""
    values: Values = {name: draw(strategy) for name, strategy in EXACTLY.items()}
    values["kind"] = draw(st.sampled_from([WakeupKind.EVENT, WakeupKind.POLL]))
    values["mem_free_kb"] = draw(st.integers(0, 2**40))
    return draw(snapshots())._replace(**values)


@given(sober(), STATE, STEADY_CONFIG, COUNTER)
@example(make_snapshot(kind=WakeupKind.EVENT, level=Level.CRITICAL), INITIAL, STEADY, 0)
def test_an_events_level_changes_nothing(
    snapshot: Snapshot, state: PolicyState, config: PolicyConfig, level: int
) -> None:
    assert judge(snapshot._replace(level=level), state, config) == judge(snapshot, state, config)
    metered = snapshot._replace(metered_level=Level.LOW)
    assert judge(metered._replace(metered_level=abs(level)), state, config) == judge(metered, state, config)


@given(sober(), STATE, STEADY_CONFIG)
def test_nobody_dies_while_there_is_room_and_refaults_are_below_the_limit(
    snapshot: Snapshot, state: PolicyState, config: PolicyConfig
) -> None:
    judgement = judge(snapshot, state, config)
    if judgement.action == Action.PENDING:
        return
    after = judgement.state
    room = room_of(snapshot, after.watermark_low_pages, after.dying_kb, config)
    hung = 0 <= after.hung_ms <= snapshot.now_ms < after.hung_ms + 1000
    assert (judgement.reason == KillReason.EXHAUSTED) == (room.kb < room.reserve_kb or hung)
    if judgement.reason != KillReason.EXHAUSTED and after.stall_refault_permille < config.stall_refault_permille:
        assert said(judgement) == NOBODY
    if judgement.reason == KillReason.STALLED:
        assert after.stall_pct >= config.stall_some_pct
        assert after.stall_windows == config.stall_windows - 1


@given(sober(), STATE, STEADY_CONFIG)
def test_the_floor_is_701_or_201_and_0_only_after_a_long_search(
    snapshot: Snapshot, state: PolicyState, config: PolicyConfig
) -> None:
    judgement = judge(snapshot, state, config)
    if judgement.action != Action.KILL:
        assert judgement.min_adj == ABSENT
    elif judgement.reason == KillReason.STALLED:
        assert judgement.min_adj == config.stall_min_adj
    elif judgement.min_adj == 0:
        assert snapshot.outcome.pid <= 0 or config.stuck_ms == 0
        assert config.stuck_ms == 0 or 0 <= state.stuck_since_ms <= snapshot.now_ms - config.stuck_ms
    else:
        assert judgement.min_adj == 201
