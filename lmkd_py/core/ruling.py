"""The verdict and what goes with it: the ladder, the pause after kills in vain, the floor, the cut limit."""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig
from .first_kill import climb_again, climb_once
from .futile import Effects, paces, pause
from .measured import Seen
from .numbers import AOSP_EXACT, HELD, KILL, NO_REASON, NOTHING, VENDOR
from .signals import Signals
from .snapshot import Snapshot
from .state import PolicyState
from .vocabulary import ABSENT
from .watermarks import Marks, breached, fresh_marks

VENDOR_REASON_MAX: Final = 999
VENDOR_REASON_MAX_AOSP: Final = 1999  # defect vendor_reason_range


class Ruling(NamedTuple):
    """What the ladder said, and what the next evaluation has to remember of it."""

    action: int
    reason: int
    min_adj: int
    breached: int
    marks: Marks
    first_kill_done: int
    check_filecache: int
    cut_limit_pct: int
    effects: Effects


def allowed(snapshot: Snapshot, config: PolicyConfig) -> bool:
    """Is a vendor's request within its range?"""
    highest = VENDOR_REASON_MAX_AOSP if config.kind == AOSP_EXACT else VENDOR_REASON_MAX
    return 0 <= snapshot.vendor_reason <= highest and snapshot.vendor_min_adj >= 0


def unruled(action: int, state: PolicyState, seen: Seen, effects: Effects) -> Ruling:
    """The ruling of an evaluation that ends before the ladder is climbed."""
    return Ruling(
        action,
        NO_REASON,
        ABSENT,
        seen.breached,
        seen.marks,
        state.first_kill_done,
        state.check_filecache,
        ABSENT,
        effects,
    )


def ruled(
    signals: Signals, snapshot: Snapshot, state: PolicyState, seen: Seen, effects: Effects, config: PolicyConfig
) -> Ruling:
    """The ladder is climbed, before the first kill twice, and its verdict carried out unless kills are held."""
    marks = seen.marks
    first_kill_done = state.first_kill_done
    climbed = climb_once(signals, state.check_filecache, config)
    if climbed.verdict.reason != NO_REASON and first_kill_done == 0:
        first_kill_done = 1
        marks = fresh_marks(marks, snapshot, config)
        below = breached(seen.free_pages, marks)
        climbed = climb_again(climbed.verdict, signals, state.check_filecache, below, config)
    reason, min_adj = climbed.verdict.reason, climbed.verdict.min_adj
    action = NOTHING
    cut_limit_pct = ABSENT
    if reason != NO_REASON:
        action = KILL
        if signals.kind != VENDOR and paces(config):
            held = pause(snapshot, effects, config)
            effects = held.effects
            if held.is_on:
                action = HELD
        if action == HELD:
            min_adj = ABSENT
        elif snapshot.psi_mem_full_avg10_centi_pct > config.stall_limit_critical_pct * 100:
            min_adj = 0  # every task stalls: better a perceptible app than a hang
        if climbed.cuts_limit:
            cut_limit_pct = signals.thrashing_limit_pct * (100 - config.thrashing_limit_decay_pct) // 100
    return Ruling(
        action,
        reason,
        min_adj,
        climbed.breached,
        marks,
        first_kill_done,
        climbed.check_filecache,
        cut_limit_pct,
        effects,
    )
