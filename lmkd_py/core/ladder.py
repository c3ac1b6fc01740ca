"""Each rule once, with all that is known of it, in the order in which climb() asks. For people and tests.

The killer runs climb() and the rules themselves and never comes here. Tests prove that climb() asks exactly these
rules in this order, that a rule reads no signal but those it needs, and that it matches exactly when its conditions
hold. STEADY has a ladder of its own, over a Need instead of Signals.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from . import conditions, need, need_conditions, rules
from .conditions import Condition
from .config import PolicyConfig
from .decision import Verdict
from .vocabulary import ABSENT, KillReason, PolicyKind

Rule = Callable[[Any, PolicyConfig], Verdict]  # of Signals; on the ladder of STEADY of a Need


class Entails(NamedTuple):
    """What a verdict changes for the evaluations after it."""

    check_filecache: int = ABSENT  # the watch over the file cache; ABSENT: it stays as it is
    cuts_limit: bool = False  # so that one bout of thrashing may take several victims


class Rung(NamedTuple):
    """One rule of the ladder."""

    rule: Rule
    reason: int  # KillReason; a vendor adds its own number to VENDOR_BASE
    needs: tuple[str, ...]  # the fields of it that the rule reads
    entails: Entails
    conditions: tuple[Callable[[Any, PolicyConfig], Condition], ...]  # all of them must hold
    words: str  # AOSP's, with fields of Judgement and PolicyConfig, the breached `mark`, vendor_min_adj and `room`

    @property
    def name(self) -> str:
        return self.rule.__name__

    @property
    def motive(self) -> str:
        """Why the rule exists."""
        return (self.rule.__doc__ or "").strip()


_MARK = "{mark} watermark is breached"
_SWAP = "({free_swap_kb}kB < {swap_low_threshold_kb}kB)"
_THRASHING = "thrashing ({thrashing_pct}%)"
_WATCHED = Entails(check_filecache=1)
_CUT = Entails(check_filecache=1, cuts_limit=True)

LADDER = (
    Rung(
        rules.vendor_kill,
        KillReason.VENDOR_BASE,
        needs=("kind", "vendor_reason", "vendor_min_adj"),
        entails=Entails(),
        conditions=(conditions.vendor_request,),
        words="vendor kill with the reason {reason}, min_score_adj {vendor_min_adj}",
    ),
    Rung(
        rules.pressure_after_kill,
        KillReason.PRESSURE_AFTER_KILL,
        needs=("cycle_after_kill", "breached"),
        entails=Entails(),
        conditions=(conditions.kill_before, conditions.below_min),
        words="min watermark is breached even after kill",
    ),
    Rung(
        rules.not_responding,
        KillReason.NOT_RESPONDING,
        needs=("kind", "level"),
        entails=Entails(),
        conditions=(conditions.trigger_event, conditions.critical_pressure),
        words="device is not responding",
    ),
    Rung(
        rules.low_swap_and_thrashing,
        KillReason.LOW_SWAP_AND_THRASHING,
        needs=("swap_is_low", "thrashing_pct", "breached"),
        entails=_WATCHED,
        conditions=(conditions.swap_is_low, conditions.thrashing_as_configured),
        words=f"device is low on swap {_SWAP} and {_THRASHING}",
    ),
    Rung(
        rules.low_mem_and_swap,
        KillReason.LOW_MEM_AND_SWAP,
        needs=("swap_is_low", "breached", "thrashing_pct"),
        entails=Entails(),
        conditions=(conditions.below_low, conditions.swap_is_low),
        words=f"{_MARK} and swap is low {_SWAP}",
    ),
    Rung(
        rules.low_mem_and_swap_util,
        KillReason.LOW_MEM_AND_SWAP_UTIL,
        needs=("breached", "swap_util_pct"),
        entails=Entails(),
        conditions=(conditions.swap_util_is_on, conditions.below_low, conditions.swap_is_used),
        words=f"{_MARK} and swap utilization is high ({{swap_util_pct}}% > {{swap_util_max_pct}}%)",
    ),
    Rung(
        rules.low_mem_and_thrashing,
        KillReason.LOW_MEM_AND_THRASHING,
        needs=("breached", "thrashing_pct", "thrashing_limit_pct"),
        entails=_CUT,
        conditions=(conditions.below_low, conditions.thrashing),
        words=f"{_MARK} and {_THRASHING}",
    ),
    Rung(
        rules.direct_recl_and_thrashing,
        KillReason.DIRECT_RECL_AND_THRASHING,
        needs=("reclaim", "thrashing_pct", "thrashing_limit_pct"),
        entails=_CUT,
        conditions=(conditions.direct_reclaim, conditions.thrashing),
        words=f"device is in direct reclaim and {_THRASHING}",
    ),
    Rung(
        rules.direct_recl_stuck,
        KillReason.DIRECT_RECL_STUCK,
        needs=("reclaim", "direct_reclaim_ms"),
        entails=Entails(),
        conditions=(
            conditions.direct_reclaim_limit_is_on,
            conditions.direct_reclaim,
            conditions.direct_reclaim_lasts,
        ),
        words="device is stuck in direct reclaim ({direct_reclaim_ms}ms > {direct_reclaim_threshold_ms}ms)",
    ),
    Rung(
        rules.low_filecache_after_thrashing,
        KillReason.LOW_FILECACHE_AFTER_THRASHING,
        needs=("check_filecache", "file_lru_kb"),
        entails=Entails(),
        conditions=(
            conditions.filecache_limit_is_on,
            conditions.thrashing_kill_before,
            conditions.filecache_is_small,
        ),
        words="filecache is low ({file_lru_kb}kB < {filecache_min_kb}kB) after thrashing",
    ),
    Rung(
        rules.low_mem,
        KillReason.LOW_MEM,
        needs=("breached",),
        entails=Entails(check_filecache=0),
        conditions=(conditions.below_low,),
        words=_MARK,
    ),
)

STEADY_LADDER = (
    Rung(
        need.exhausted,
        KillReason.EXHAUSTED,
        needs=("room", "hung", "stuck_ms"),
        entails=Entails(),
        conditions=(need_conditions.room_is_short,),
        words="room {room_mib} MiB, reserve {reserve_mib} MiB: {room}{hung}",
    ),
    Rung(
        need.stalled,
        KillReason.STALLED,
        needs=("window_ended", "bad_windows", "room", "ample_kb"),
        entails=Entails(),
        conditions=(need_conditions.window_ended, need_conditions.stall_goes_on, need_conditions.memory_is_not_free),
        words=(
            "tasks wait for memory {stall_pct}% of the time, {stall_refault_permille} permille of RAM a second are read"
            " back; room {room_mib} MiB"
        ),
    ),
)

# A climb that spares everybody has got past the rule that watches the file cache, too.
NOBODY_ENTAILS = Entails(check_filecache=0)


def rung_of(reason: int, kind: int = PolicyKind.AOSP_MENDED) -> Rung:
    """The rung of a kill reason of a policy. Raises LookupError for a reason that no rule has."""
    for rung in (*STEADY_LADDER, *LADDER) if kind == PolicyKind.STEADY else LADDER:
        if reason == rung.reason or (reason >= KillReason.VENDOR_BASE == rung.reason):
            return rung
    raise LookupError(f"no rule has the kill reason {reason}")
