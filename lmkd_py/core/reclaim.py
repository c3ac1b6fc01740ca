"""Who reclaims since the last evaluation: by the kernel's own events where they come, else by counters that moved."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .growth import PAGES_PER_MS, growth
from .numbers import AOSP_EXACT, DIRECT, KSWAPD, NO_RECLAIM
from .snapshot import Snapshot
from .state import PolicyState
from .vocabulary import ABSENT


class Reclaim(NamedTuple):
    """Who reclaims, for how long if tasks do it themselves, and what to compare with next time."""

    by: int  # ReclaimState
    direct_ms: int
    direct_since_ms: int
    kswapd_progress: int
    direct_progress: int
    refill_progress: int
    hangs: int


def reclaiming(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Reclaim:
    """Outside AOSP a counter that fell or grew by more than can be did not move."""
    now_ms, hangs = snapshot.now_ms, state.hangs
    kswapd, direct, refill = snapshot.kswapd_progress, snapshot.direct_progress, snapshot.refill_progress
    last_kswapd, last_direct, last_refill = state.kswapd_progress, state.direct_progress, state.refill_progress
    if config.kind != AOSP_EXACT:
        dt_ms = now_ms - state.counted_ms
        last_kswapd = _compared_with(kswapd, last_kswapd, dt_ms)
        last_direct = _compared_with(direct, last_direct, dt_ms)
        last_refill = _compared_with(refill, last_refill, dt_ms)
    if snapshot.memevents > 0:
        if snapshot.direct_reclaim_since_ms > 0:
            lasted_ms = now_ms - snapshot.direct_reclaim_since_ms
            return Reclaim(DIRECT, lasted_ms, ABSENT, last_kswapd, last_direct, last_refill, hangs)
        by = KSWAPD if snapshot.kswapd_since_ms > 0 else NO_RECLAIM
        return Reclaim(by, 0, ABSENT, last_kswapd, last_direct, last_refill, hangs)
    # Who waits in vain for memory is in direct reclaim, though nothing counts it any more.
    if snapshot.hangs != hangs or (direct >= 0 and direct != last_direct):
        since_ms = state.direct_since_ms if state.direct_since_ms >= 0 else now_ms
        # AOSP has no start time here and counts from boot (defect direct_duration_uptime).
        lasted_ms = now_ms if config.kind == AOSP_EXACT else now_ms - since_ms
        counted = direct if direct >= 0 else last_direct
        return Reclaim(DIRECT, lasted_ms, since_ms, kswapd, counted, refill, snapshot.hangs)
    if kswapd >= 0 and kswapd != last_kswapd:
        return Reclaim(KSWAPD, 0, ABSENT, kswapd, last_direct, refill, hangs)
    if refill >= 0 and refill != last_refill:
        return Reclaim(KSWAPD, 0, ABSENT, last_kswapd, last_direct, refill, hangs)
    return Reclaim(NO_RECLAIM, 0, ABSENT, last_kswapd, last_direct, last_refill, hangs)


def is_known(snapshot: Snapshot) -> bool:
    """Does anything here tell of reclaim?"""
    if snapshot.memevents > 0 or snapshot.refill_progress >= 0:
        return True
    return snapshot.kswapd_progress >= 0 or snapshot.direct_progress >= 0


def _compared_with(now: int, last: int, dt_ms: int) -> int:
    if now >= 0 and growth(now, last, dt_ms, PAGES_PER_MS) == 0:
        return now
    return last
