"""Zone watermarks: when the cached sums are too old, and which one free memory has fallen below."""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig
from .numbers import AOSP_EXACT, HIGH_MARK, LOW_MARK, MIN_MARK, NO_MARK, ZONEINFO
from .snapshot import Snapshot
from .state import PolicyState

REFRESH_MS: Final = 60_000  # an administrator may have changed the kernel's settings


class Marks(NamedTuple):
    """The sums over all zones, and when they were read. ABSENT: not read."""

    min_pages: int
    low_pages: int
    high_pages: int
    taken_ms: int


def cached_marks(state: PolicyState) -> Marks:
    """The marks that an evaluation before this one read."""
    return Marks(state.watermark_min_pages, state.watermark_low_pages, state.watermark_high_pages, state.watermarks_ms)


def fresh_marks(cached: Marks, snapshot: Snapshot, config: PolicyConfig) -> Marks:
    """The snapshot's marks if it read them, else the cached ones.

    Without boost they are as they will be when the kernel has taken back what it added after a shortage of large
    blocks. kswapd goes on to the real high mark only, so free memory would be below a boosted min for as long as that
    is kept. AOSP knows no boost.
    """
    min_pages, boost = snapshot.watermark_min_pages, snapshot.watermark_boost_pages
    if boost <= 0 or boost > min_pages or config.kind == AOSP_EXACT:
        boost = 0
    high_pages = snapshot.watermark_high_pages - boost
    if high_pages < 0:
        return cached
    return Marks(min_pages - boost, snapshot.watermark_low_pages - boost, high_pages, snapshot.now_ms)


def too_old(marks: Marks, now_ms: int, memevents: int) -> bool:
    """AOSP's rule: never read, or old where the kernel does not send word of changes (a ZONEINFO wakeup)."""
    return marks.high_pages <= 0 or (memevents <= 0 and now_ms - marks.taken_ms > REFRESH_MS)


def watermarks_due(state: PolicyState, now_ms: int, memevents: int) -> bool:
    """Are the cached marks too old?"""
    return too_old(cached_marks(state), now_ms, memevents)


def wants_watermarks(state: PolicyState, now_ms: int, kind: int = 0, memevents: int = 0) -> bool:
    """Is the sampler to read zoneinfo for this wakeup? Else it may leave the watermarks ABSENT.

    True where watermarks_due(), at a ZONEINFO wakeup, and always before the first kill: AOSP reads again right
    before it strikes for the first time, and judge() cannot ask for a reading half-way.
    """
    return state.first_kill_done == 0 or kind == ZONEINFO or watermarks_due(state, now_ms, memevents)


def sank(seen: Snapshot, free_pages: int, marks: Marks) -> bool:
    """Has free memory fallen below a watermark that it was not below when it was seen last?

    free_pages: now, CMA included; 0: nobody knows.
    """
    if free_pages <= 0 or seen.mem_free_kb < 0 or seen.page_kb < 1:
        return False
    cma_pages = seen.cma_free_kb // seen.page_kb if seen.cma_free_kb > 0 else 0
    seen_pages = seen.mem_free_kb // seen.page_kb
    return breached(free_pages - cma_pages, marks) < breached(seen_pages - cma_pages, marks)


def breached(free_pages: int, marks: Marks) -> int:
    """The lowest Watermark that `free_pages` is strictly below; NONE for those that are ABSENT."""
    if free_pages < marks.min_pages:
        return MIN_MARK
    if free_pages < marks.low_pages:
        return LOW_MARK
    return HIGH_MARK if free_pages < marks.high_pages else NO_MARK
