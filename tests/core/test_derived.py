"""The signals that explain shows are those that judge() gave its rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given

from lmkd_py.core import judge as judging
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.derived import signals_of
from lmkd_py.core.ruling import Ruling, ruled
from lmkd_py.core.signals import Signals
from lmkd_py.core.snapshot import NO_OUTCOME, Outcome, Snapshot
from lmkd_py.core.state import PolicyState
from lmkd_py.core.vocabulary import Level, ReclaimState, WakeupKind, Watermark

from .test_decide import LOW_MEM, T0, settled
from .test_totality import CONFIG, STATE, snapshots
from .values import AOSP, DEFAULTS, make_snapshot


def asked(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> list[Signals]:
    """The signals that judge() climbs the ladder with; none where it does not."""
    seen: list[Signals] = []

    def noting(signals: Signals, *rest: Any) -> Ruling:
        seen.append(signals)
        return ruled(signals, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "ruled", noting)
        judging.judge(snapshot, state, config)
    return seen


@given(snapshots(), STATE, CONFIG)
@example(make_snapshot(kswapd_progress=200, **LOW_MEM), settled(), DEFAULTS)
def test_they_are_what_judge_asks_its_rules_with(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> None:
    seen = asked(snapshot, state, config)
    assert not seen or seen == [signals_of(snapshot, state, config)]


def test_they_say_what_the_wakeup_is_believed_to_be() -> None:
    tiny = {"kind": WakeupKind.EVENT, "level": Level.CRITICAL, "event_stall_us": 200, "event_threshold_us": 700_000}
    signals = signals_of(make_snapshot(**tiny), settled(), DEFAULTS)
    assert (signals.kind, signals.level) == (WakeupKind.POLL, Level.CRITICAL)
    assert signals_of(make_snapshot(**tiny), settled(), AOSP).kind == WakeupKind.EVENT
    metered = make_snapshot(metered_level=Level.CRITICAL, event_stall_us=2, event_threshold_us=1)
    assert signals_of(metered, settled(), DEFAULTS)[:2] == (WakeupKind.EVENT, Level.CRITICAL)


@pytest.mark.parametrize(("outcome", "config", "expected"), [
    (NO_OUTCOME, DEFAULTS, False),
    (Outcome(5, 900, 10, T0, 0, 1), DEFAULTS, True),
    (Outcome(5, 900, 0, T0, 0, 1), DEFAULTS, True),
    (Outcome(5, 900, 0, T0, 0, 1), AOSP, False),  # to AOSP a victim without one whole page is no kill
])  # fmt: skip
def test_they_say_whether_the_last_evaluation_killed(outcome: Outcome, config: PolicyConfig, expected: bool) -> None:
    signals = signals_of(make_snapshot(outcome=outcome, kswapd_progress=200, **LOW_MEM), settled(), config)
    assert signals.cycle_after_kill is expected
    assert (signals.breached, signals.reclaim) == (Watermark.LOW, ReclaimState.KSWAPD)
