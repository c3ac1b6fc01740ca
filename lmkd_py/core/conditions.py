"""What a rule needs, one condition a function: as words, with what was found, and whether it holds. Not the kill path.

The rules say the same for the killer; a test proves for any signals that all conditions of a rule hold exactly when
the rule matches.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from .config import PolicyConfig
from .signals import Signals
from .vocabulary import ABSENT, Level, ReclaimState, WakeupKind, Watermark


class Condition(NamedTuple):
    """One thing a rule needs: `wanted` is a noun ("a trigger event"), `found` a clause ("this wakeup was a poll")."""

    wanted: str
    found: str
    holds: bool


def word(enum: type[IntEnum], value: int) -> str:
    """A member's name in lower case; the number itself where it has none (a trace may be newer than we are)."""
    return enum(value).name.lower() if value in list(enum) else str(value)


def vendor_request(s: Signals, c: PolicyConfig) -> Condition:
    """A vendor's kernel asked."""
    return _kind(s, WakeupKind.VENDOR)


def trigger_event(s: Signals, c: PolicyConfig) -> Condition:
    """A trigger fired."""
    return _kind(s, WakeupKind.EVENT)


def critical_pressure(s: Signals, c: PolicyConfig) -> Condition:
    """The wakeup's level is critical."""
    found = "this wakeup had no level" if s.level == ABSENT else f"the level was {word(Level, s.level)}"
    return Condition("critical pressure", found, s.level == Level.CRITICAL)


def kill_before(s: Signals, c: PolicyConfig) -> Condition:
    """The last evaluation struck somebody."""
    found = "it killed" if s.cycle_after_kill else "it killed nobody"
    return Condition("a kill by the evaluation before", found, bool(s.cycle_after_kill))


def thrashing_kill_before(s: Signals, c: PolicyConfig) -> Condition:
    """The file cache is watched."""
    found = "there was one" if s.check_filecache else "there was none"
    return Condition("a recent kill for thrashing", found, bool(s.check_filecache))


def below_min(s: Signals, c: PolicyConfig) -> Condition:
    """Free memory is below the min watermark."""
    return _below(s, Watermark.MIN)


def below_low(s: Signals, c: PolicyConfig) -> Condition:
    """Free memory is below the low watermark, or below min."""
    return _below(s, Watermark.LOW)


def swap_is_low(s: Signals, c: PolicyConfig) -> Condition:
    """Usable free swap is below its share."""
    limit_kb, is_low = s.swap_low_threshold_kb, bool(s.swap_is_low)
    if limit_kb > 0:
        return Condition(f"less than {limit_kb} kB of usable free swap", f"{s.free_swap_kb} kB were usable", is_low)
    found = "swap_free_low_pct is 0" if c.swap_free_low_pct == 0 else "there is no swap"
    return Condition("low free swap", found, is_low)


def swap_util_is_on(s: Signals, c: PolicyConfig) -> Condition:
    """swap_util_max_pct is below 100."""
    return _on("swap_util_max_pct", c.swap_util_max_pct, c.swap_util_max_pct < 100)


def swap_is_used(s: Signals, c: PolicyConfig) -> Condition:
    """More of what can be swapped is in swap than the limit allows."""
    found = "the share is unknown" if s.swap_util_pct == ABSENT else f"it was {s.swap_util_pct} %"
    limit = c.swap_util_max_pct
    return Condition(f"more than {limit} % of swappable memory in swap", found, s.swap_util_pct > limit)


def thrashing(s: Signals, c: PolicyConfig) -> Condition:
    """Above the current limit, which kills for thrashing cut."""
    return _thrashing(s, s.thrashing_limit_pct)


def thrashing_as_configured(s: Signals, c: PolicyConfig) -> Condition:
    """Above the configured limit."""
    return _thrashing(s, c.thrashing_limit_pct)


def direct_reclaim(s: Signals, c: PolicyConfig) -> Condition:
    """Tasks reclaim for themselves."""
    found = _RECLAIMS.get(s.reclaim, f"reclaim was {s.reclaim}")
    return Condition("tasks in direct reclaim", found, s.reclaim == ReclaimState.DIRECT)


def direct_reclaim_limit_is_on(s: Signals, c: PolicyConfig) -> Condition:
    """direct_reclaim_threshold_ms is not 0."""
    return _on("direct_reclaim_threshold_ms", c.direct_reclaim_threshold_ms, c.direct_reclaim_threshold_ms > 0)


def direct_reclaim_lasts(s: Signals, c: PolicyConfig) -> Condition:
    """Direct reclaim has lasted longer than the limit."""
    limit, ms = c.direct_reclaim_threshold_ms, s.direct_reclaim_ms
    return Condition(f"direct reclaim for longer than {limit} ms", f"it had lasted {ms} ms", ms > limit)


def filecache_limit_is_on(s: Signals, c: PolicyConfig) -> Condition:
    """filecache_min_kb is not 0."""
    return _on("filecache_min_kb", c.filecache_min_kb, c.filecache_min_kb > 0)


def filecache_is_small(s: Signals, c: PolicyConfig) -> Condition:
    """The file LRU is known and below its limit."""
    limit, kb = c.filecache_min_kb, s.file_lru_kb
    found = "its size is unknown" if kb < 0 else f"it was {kb} kB"
    return Condition(f"a file LRU below {limit} kB", found, ABSENT < kb < limit)


_WAKEUPS: dict[int, str] = {
    WakeupKind.EVENT: "a trigger event",
    WakeupKind.POLL: "a poll",
    WakeupKind.VENDOR: "a vendor request",
    WakeupKind.ZONEINFO: "a change of watermarks",
}
_RECLAIMS: dict[int, str] = {
    ReclaimState.NONE: "nobody was in reclaim",
    ReclaimState.KSWAPD: "only kswapd was reclaiming",
    ReclaimState.DIRECT: "tasks were in direct reclaim",
}


def _kind(s: Signals, kind: WakeupKind) -> Condition:
    found = _WAKEUPS.get(s.kind, f"of kind {s.kind}")
    return Condition(_WAKEUPS[kind], f"this wakeup was {found}", s.kind == kind)


def _below(s: Signals, mark: Watermark) -> Condition:
    found = f"it was below the {word(Watermark, s.breached)} watermark"
    if s.breached == Watermark.NONE:
        found = "it was above all watermarks"
    return Condition(f"free memory below the {word(Watermark, mark)} watermark", found, s.breached <= mark)


def _thrashing(s: Signals, limit_pct: int) -> Condition:
    found = f"it was {s.thrashing_pct} %"
    return Condition(f"thrashing above {limit_pct} %", found, s.thrashing_pct > limit_pct)


def _on(name: str, value: int, holds: bool) -> Condition:
    return Condition(f"{name} to be set", f"it is {value}{'' if holds else ' (off)'}", holds)
