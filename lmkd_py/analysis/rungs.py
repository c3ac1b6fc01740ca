"""Why each rule of the ladder spoke or stayed silent: its conditions as words, values and yes or no.

The rules themselves are core's; this only spells them out, and a test proves for any signals that all conditions of
a rule hold exactly when the rule speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from ..core.config import PolicyConfig
from ..core.ladder import LADDER
from ..core.signals import Signals
from ..core.snapshot import Snapshot
from ..core.state import PolicyState
from ..core.vocabulary import ABSENT, Compat, Level, ReclaimState, WakeupKind, Watermark
from ..wire.record import Record

MATCHED = "matched"
SILENT = "silent"
NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing a rule asks for."""

    wanted: str
    found: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Rung:
    """One rule of the ladder at one wakeup."""

    rule: str  # its name
    motive: str  # its docstring
    word: str  # MATCHED, SILENT or NOT_REACHED
    reason: int  # AOSP's number of its verdict; ABSENT unless it matched
    min_adj: int  # the floor the rule itself sets; ABSENT unless it matched
    conditions: tuple[Condition, ...]

    @property
    def lacking(self) -> tuple[Condition, ...]:
        """The conditions that kept it silent."""
        return tuple(condition for condition in self.conditions if not condition.holds)


def signals_of(record: Record, config: PolicyConfig) -> Signals:
    """The signals the recorded verdict rests on, put together again from the record."""
    judgement, snapshot = record.judgement, record.snapshot
    return Signals(
        kind=snapshot.kind,
        level=snapshot.level,
        free_swap_kb=judgement.free_swap_kb,
        swap_low_threshold_kb=judgement.swap_low_threshold_kb,
        swap_is_low=judgement.swap_is_low,
        swap_util_pct=judgement.swap_util_pct,
        reclaim=judgement.reclaim,
        direct_reclaim_ms=judgement.direct_reclaim_ms,
        thrashing_pct=judgement.thrashing_pct,
        thrashing_limit_pct=judgement.state.thrashing_limit_pct,
        file_lru_kb=judgement.file_lru_kb,
        breached=judgement.breached,
        cycle_after_kill=_cycle_after_kill(snapshot, record.state, config),
        check_filecache=record.state.check_filecache,
        vendor_reason=snapshot.vendor_reason,
        vendor_min_adj=snapshot.vendor_min_adj,
    )


def _cycle_after_kill(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> int:
    # To AOSP a victim of no whole page is no kill.
    struck = snapshot.outcome.pid > 0 and (snapshot.outcome.rss_pages != 0 or config.compat != Compat.AOSP)
    return 1 if struck else state.killed_last


def rungs(signals: Signals, config: PolicyConfig) -> tuple[Rung, ...]:
    """The whole ladder, in its order; what stands behind the rule that matched was not asked."""
    out = []
    matched = False
    for rule in LADDER:
        verdict = None if matched else rule(signals, config)
        spoke = NOT_REACHED if matched else SILENT if verdict is None else MATCHED
        matched = matched or verdict is not None
        out.append(
            Rung(
                rule=rule.__name__,
                motive=(rule.__doc__ or "").strip(),
                word=spoke,
                reason=ABSENT if verdict is None else int(verdict.reason),
                min_adj=ABSENT if verdict is None else int(verdict.min_adj),
                conditions=CONDITIONS[rule.__name__](signals, config),
            )
        )
    return tuple(out)


def word(enum: type[IntEnum], value: int) -> str:
    """A member's name in lower case; the number itself where it has none (a trace may be newer than we are)."""
    return enum(value).name.lower() if value in list(enum) else str(value)


def _kind(signals: Signals, kind: WakeupKind) -> Condition:
    found = f"it is of kind {word(WakeupKind, signals.kind)}"
    return Condition(f"the wakeup is of kind {word(WakeupKind, kind)}", found, signals.kind == kind)


def _below(signals: Signals, mark: Watermark) -> Condition:
    found = f"it is below {word(Watermark, signals.breached)}"
    return Condition(f"free memory is below the {word(Watermark, mark)} watermark", found, signals.breached <= mark)


def _swap_is_low(signals: Signals, config: PolicyConfig) -> Condition:
    found = f"{signals.free_swap_kb} kB of {signals.swap_low_threshold_kb} kB"
    if signals.free_swap_kb == ABSENT:
        found = "there is no swap"
    return Condition("free swap is under its threshold", found, bool(signals.swap_is_low))


def _thrashing(signals: Signals, limit_pct: int) -> Condition:
    return Condition(
        f"thrashing is over {limit_pct} %", f"{signals.thrashing_pct} %", signals.thrashing_pct > limit_pct
    )


def _direct(signals: Signals) -> Condition:
    found = f"reclaim is {word(ReclaimState, signals.reclaim)}"
    return Condition("tasks reclaim for themselves", found, signals.reclaim == ReclaimState.DIRECT)


def _on(name: str, value: int, holds: bool) -> Condition:
    return Condition(f"{name} is set", str(value), holds)


def _pressure_after_kill(s: Signals, c: PolicyConfig) -> tuple[Condition, ...]:
    struck = "it struck" if s.cycle_after_kill else "it struck nobody"
    return (
        Condition("the evaluation before this one struck", struck, bool(s.cycle_after_kill)),
        _below(s, Watermark.MIN),
    )


def _not_responding(s: Signals, c: PolicyConfig) -> tuple[Condition, ...]:
    found = "there is no level" if s.level == ABSENT else f"it is {word(Level, s.level)}"
    return (
        _kind(s, WakeupKind.EVENT),
        Condition("the pressure level is critical", found, s.level == Level.CRITICAL),
    )


def _low_mem_and_swap_util(s: Signals, c: PolicyConfig) -> tuple[Condition, ...]:
    limit = c.swap_util_max_pct
    found = "unknown" if s.swap_util_pct == ABSENT else f"{s.swap_util_pct} %"
    return (
        _on("swap_util_max_pct", limit, limit < 100),
        _below(s, Watermark.LOW),
        Condition(f"more than {limit} % of what can be swapped is in swap", found, s.swap_util_pct > limit),
    )


def _direct_recl_stuck(s: Signals, c: PolicyConfig) -> tuple[Condition, ...]:
    limit, ms = c.direct_reclaim_threshold_ms, s.direct_reclaim_ms
    return (
        _on("direct_reclaim_threshold_ms", limit, limit > 0),
        _direct(s),
        Condition(f"direct reclaim has lasted longer than {limit} ms", f"{ms} ms", ms > limit),
    )


def _low_filecache_after_thrashing(s: Signals, c: PolicyConfig) -> tuple[Condition, ...]:
    limit, kb = c.filecache_min_kb, s.file_lru_kb
    found = "it is watched" if s.check_filecache else "it is not watched"
    return (
        _on("filecache_min_kb", limit, limit > 0),
        Condition("the file cache is watched since a kill for thrashing", found, bool(s.check_filecache)),
        Condition(f"the file LRU is under {limit} kB", "unknown" if kb < 0 else f"{kb} kB", ABSENT < kb < limit),
    )


# By the rule's name.
CONDITIONS: dict[str, Callable[[Signals, PolicyConfig], tuple[Condition, ...]]] = {
    "vendor_kill": lambda s, c: (_kind(s, WakeupKind.VENDOR),),
    "pressure_after_kill": _pressure_after_kill,
    "not_responding": _not_responding,
    "low_swap_and_thrashing": lambda s, c: (_swap_is_low(s, c), _thrashing(s, c.thrashing_limit_pct)),
    "low_mem_and_swap": lambda s, c: (_below(s, Watermark.LOW), _swap_is_low(s, c)),
    "low_mem_and_swap_util": _low_mem_and_swap_util,
    "low_mem_and_thrashing": lambda s, c: (_below(s, Watermark.LOW), _thrashing(s, s.thrashing_limit_pct)),
    "direct_recl_and_thrashing": lambda s, c: (_direct(s), _thrashing(s, s.thrashing_limit_pct)),
    "direct_recl_stuck": _direct_recl_stuck,
    "low_filecache_after_thrashing": _low_filecache_after_thrashing,
    "low_mem": lambda s, c: (_below(s, Watermark.LOW),),
}
