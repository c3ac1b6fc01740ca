"""Why each rule of the ladder matched or was skipped at one wakeup: core's conditions over the recorded signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.conditions import Condition
from ..core.config import PolicyConfig
from ..core.decision import SPARED
from ..core.derived import signals_of
from ..core.ladder import LADDER, STEADY_LADDER, Rung
from ..core.need import Need
from ..core.reclaim import reclaiming
from ..core.settle import settle
from ..core.signals import Signals
from ..core.snapshot import Snapshot
from ..core.steady import steady
from ..core.vocabulary import KillReason, Level, PolicyKind, WakeupKind
from ..core.wakeup import announced
from ..wire.record import Record

MATCHED = "matched"
SILENT = "silent"
NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one rule of the ladder did at one wakeup."""

    rule: str  # its name
    motive: str  # its docstring
    word: str  # MATCHED, SILENT or NOT_REACHED
    reason: int  # AOSP's number of its verdict; ABSENT unless it matched
    min_adj: int  # the floor the rule itself sets; ABSENT unless it matched
    conditions: tuple[Condition, ...]

    @property
    def lacking(self) -> tuple[Condition, ...]:
        """The conditions that did not hold."""
        return tuple(condition for condition in self.conditions if not condition.holds)


def recorded_signals(record: Record, config: PolicyConfig) -> Signals:
    """The signals that the recorded verdict rests on; page_kb is above 0."""
    signals = signals_of(record.snapshot, record.state, config)
    # Before the first kill the watermarks are read again, and the verdict may rest on that second look.
    return signals._replace(breached=record.judgement.breached)


def stall_words(snapshot: Snapshot) -> str:
    """What the totals say of an event of PSI or of the stall meter; empty for any other wakeup."""
    wakeup = announced(snapshot)
    if wakeup.kind != WakeupKind.EVENT or snapshot.event_stall_us < 0:
        return ""
    line = "all" if wakeup.level == Level.CRITICAL else "some"
    stall_ms, wanted_ms = snapshot.event_stall_us / 1000, snapshot.event_threshold_us / 1000
    return f"by the PSI totals {line} tasks stalled for {stall_ms:.1f} ms of the {wanted_ms:.0f} ms a trigger needs"


def need_of(record: Record, config: PolicyConfig) -> Need:
    """What the rules of STEADY looked at, worked out again from the record."""
    settled = settle(record.snapshot, record.state, config)
    hangs = reclaiming(record.snapshot, record.state, config).hangs != record.state.hangs
    done = steady(record.snapshot, record.state, settled.struck_ms, hangs, settled.memory, settled.effects, config)
    return done.need


def rungs_of(record: Record, config: PolicyConfig) -> tuple[Answer, ...]:
    """The ladder that was climbed at a recorded wakeup."""
    if config.kind == PolicyKind.STEADY and record.snapshot.kind != WakeupKind.VENDOR:
        return _answers(STEADY_LADDER, need_of(record, config), config, "")
    return rungs(recorded_signals(record, config), config, stall_words(record.snapshot))


def rungs(signals: Signals, config: PolicyConfig, stall: str = "") -> tuple[Answer, ...]:
    """The whole ladder, in its order; what stands behind the rule that matched was not asked.

    `stall`: stall_words() of the wakeup.
    """
    return _answers(LADDER, signals, config, stall)


def _answers(ladder: tuple[Rung, ...], seen: Any, config: PolicyConfig, stall: str) -> tuple[Answer, ...]:
    out = []
    matched = False
    for rung in ladder:
        verdict = SPARED if matched else rung.rule(seen, config)
        speaks = verdict.reason != KillReason.NONE
        answer = NOT_REACHED if matched else MATCHED if speaks else SILENT
        matched = matched or speaks
        conditions = tuple(condition(seen, config) for condition in rung.conditions)
        if stall and rung.reason == KillReason.NOT_RESPONDING:
            first = conditions[0]
            conditions = (first._replace(found=f"{first.found}; {stall}"), *conditions[1:])
        out.append(
            Answer(
                rule=rung.name,
                motive=rung.motive,
                word=answer,
                reason=int(verdict.reason),
                min_adj=int(verdict.min_adj),
                conditions=conditions,
            )
        )
    return tuple(out)
