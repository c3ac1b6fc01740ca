"""The first half of a decision: settle the last strike, derive the signals, climb the ladder.

Large tuples are made by position, in one place each: keywords would pass through a dict at every wakeup.
"""

from __future__ import annotations

from .config import PolicyConfig
from .decision import Judgement
from .derived import derive, signals_from
from .futile import look, paces
from .numbers import (
    BAIL,
    DIRECT,
    EVENT,
    FAST,
    HELD,
    INVALID,
    KEEP,
    NO_MARK,
    NO_RECLAIM,
    NOTHING,
    SLOW,
    START,
    STEADY,
    VENDOR,
    ZONEINFO,
)
from .reclaim import Reclaim, reclaiming
from .remember import empty, remembered, unseen
from .ruling import Ruling, allowed, ruled, unruled
from .settle import Settled, ends_early, filtered, settle
from .snapshot import Snapshot
from .state import PolicyState
from .steady import goes_on, is_near, steady
from .vocabulary import ABSENT
from .wakeup import Wakeup, announced, believed
from .watermarks import cached_marks, fresh_marks


def judge(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Judgement:
    """What this wakeup comes to and what the next one remembers. Candidates are not looked at. Never raises."""
    announcement = announced(snapshot)
    wakeup = believed(announcement, snapshot, config)
    settled = settle(snapshot, state, config)
    action = ends_early(wakeup, snapshot, state, settled, config)
    if action != 0:
        return unmeasured(action, wakeup, snapshot, state, settled, config)
    if config.kind == STEADY and wakeup.kind != VENDOR:
        return by_need(announcement, wakeup, snapshot, state, settled, config)

    derived = derive(wakeup, settled, snapshot, state, config)
    swapped, reclaim, counted, seen = derived.swapped, derived.reclaim, derived.counted, derived.seen
    measurable = counted.now_pages >= 0 and derived.file_lru_kb >= 0
    effects = look(snapshot, settled.effects, config) if paces(config) else settled.effects
    if derived.still:
        ruling = unruled(BAIL, state, seen, effects)
    elif wakeup.kind == VENDOR and not allowed(snapshot, config):
        ruling = unruled(INVALID, state, seen, effects)
    else:
        signals = signals_from(derived, wakeup, settled, snapshot, state)
        ruling = ruled(signals, snapshot, state, seen, effects, config)
    return Judgement(
        ruling.action,
        ruling.reason,
        ruling.min_adj,
        seen.thrashing_pct,
        seen.max_thrashing_pct,
        swapped.free_kb,
        swapped.low_threshold_kb,
        swapped.util_pct,
        ruling.breached,
        reclaim.by,
        derived.file_lru_kb,
        reclaim.direct_ms,
        1 if swapped.is_low else 0,
        requested(ruling.action, announcement, swapped.is_low, reclaim),
        remembered(
            1 if measurable and not derived.still else state.started,
            0,
            settled.struck_ms,
            filtered(wakeup, state, config),
            counted.now_pages if counted.now_pages >= 0 else counted.last_pages,
            counted.fell,
            snapshot.now_ms,
            reclaim,
            seen,
            ruling,
            settled.memory,
        ),
    )


def by_need(
    announcement: Wakeup, wakeup: Wakeup, snapshot: Snapshot, state: PolicyState, settled: Settled, config: PolicyConfig
) -> Judgement:
    """A measured evaluation by STEADY. Of the other policies' measures only who reclaims is taken."""
    reclaim = reclaiming(snapshot, state, config)
    hangs = reclaim.hangs != state.hangs
    done = steady(snapshot, state, settled.struck_ms, hangs, settled.memory, settled.effects, config)
    seen = unseen(state, settled, done.marks)
    ruling = Ruling(
        done.action, done.reason, done.min_adj, NO_MARK, done.marks, 1, state.check_filecache, ABSENT, done.effects
    )
    pace = FAST if is_near(done.need) and done.action != HELD else SLOW
    starts = announcement.kind == EVENT or reclaim.by == DIRECT or done.action == HELD or goes_on(done, config)
    return empty(
        ruling,
        reclaim,
        pace | START if starts else pace,
        remembered(
            state.started,
            0,
            settled.struck_ms,
            filtered(wakeup, state, config),
            state.last_refault_pages,
            state.refault_fell,
            snapshot.now_ms,
            reclaim,
            seen,
            ruling,
            done.memory,
        ),
    )


def requested(action: int, wakeup: Wakeup, swap_is_low: bool, reclaim: Reclaim) -> int:
    """How the loop is asked to poll after a measured evaluation. `wakeup`: as announced."""
    if action == INVALID:
        return KEEP
    if action == HELD:
        return SLOW | START  # until that is over, or nothing is short any more
    pace = FAST if swap_is_low else SLOW
    return pace | START if wakeup.kind == EVENT or reclaim.by == DIRECT else pace


def unmeasured(
    action: int, wakeup: Wakeup, snapshot: Snapshot, state: PolicyState, settled: Settled, config: PolicyConfig
) -> Judgement:
    """An evaluation that ends before anything is measured."""
    marks = cached_marks(state)
    if wakeup.kind == ZONEINFO:
        marks = fresh_marks(marks, snapshot, config)
    seen = unseen(state, settled, marks)
    starts = action == NOTHING and wakeup.kind == EVENT  # some reclaim goes on somewhere: look at it for a second
    reclaim = Reclaim(
        NO_RECLAIM,
        0,
        state.direct_since_ms,
        state.kswapd_progress,
        state.direct_progress,
        state.refill_progress,
        state.hangs,
    )
    ruling = unruled(action, state, seen, settled.effects)
    return empty(
        ruling,
        reclaim,
        START if starts else KEEP,
        remembered(
            state.started,
            settled.killed_last,
            settled.struck_ms,
            filtered(wakeup, state, config),
            state.last_refault_pages,
            state.refault_fell,
            state.counted_ms,
            reclaim,
            seen,
            ruling,
            settled.memory,
        ),
    )
