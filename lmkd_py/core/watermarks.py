"""Zone watermarks: when the cached sums are too old, and which one free memory has fallen below."""

from __future__ import annotations

from typing import NamedTuple

from .snapshot import Snapshot
from .state import PolicyState
from .vocabulary import WakeupKind, Watermark

REFRESH_MS = 60_000  # an administrator may have changed the kernel's settings

_ZONEINFO = int(WakeupKind.ZONEINFO)
_MIN = int(Watermark.MIN)
_LOW = int(Watermark.LOW)
_HIGH = int(Watermark.HIGH)
_NONE = int(Watermark.NONE)


def watermarks_due(state: PolicyState, now_ms: int, memevents: int) -> bool:
    """AOSP's rule: never taken, or old where the kernel does not send word of changes (a ZONEINFO wakeup)."""
    if state.watermark_high_pages <= 0:
        return True
    return memevents <= 0 and now_ms - state.watermarks_ms > REFRESH_MS


def wants_watermarks(state: PolicyState, now_ms: int, kind: int = 0, memevents: int = 0) -> bool:
    """Is the sampler to read zoneinfo for this wakeup? Else it may leave the watermarks ABSENT.

    True where watermarks_due(), at a ZONEINFO wakeup, and always before the first kill: AOSP reads again right
    before it strikes for the first time, and judge() cannot ask for a reading half-way.
    """
    return state.first_kill_done == 0 or kind == _ZONEINFO or watermarks_due(state, now_ms, memevents)


def free_pages(snapshot: Snapshot) -> int:
    """MemFree without the CMA area, in pages: what the watermarks are compared with."""
    page_kb = snapshot.page_kb
    free = snapshot.mem_free_kb // page_kb
    return free - snapshot.cma_free_kb // page_kb if snapshot.cma_free_kb > 0 else free


def breached(free: int, marks: Marks) -> int:
    """The lowest watermark that `free` is strictly below; NONE for those that are ABSENT."""
    if free < marks.min_pages:
        return _MIN
    if free < marks.low_pages:
        return _LOW
    return _HIGH if free < marks.high_pages else _NONE


class Marks(NamedTuple):
    """The sums free memory is compared with, and when they were taken."""

    min_pages: int
    low_pages: int
    high_pages: int
    taken_ms: int


def cached(state: PolicyState) -> Marks:
    """What the last evaluations used."""
    return Marks(state.watermark_min_pages, state.watermark_low_pages, state.watermark_high_pages, state.watermarks_ms)


def taken(snapshot: Snapshot, marks: Marks) -> Marks:
    """The snapshot's reading; the old marks where it has none."""
    if snapshot.watermark_high_pages < 0:
        return marks
    return Marks(
        snapshot.watermark_min_pages, snapshot.watermark_low_pages, snapshot.watermark_high_pages, snapshot.now_ms
    )


def noted(snapshot: Snapshot, state: PolicyState) -> PolicyState:
    """The state with the snapshot's reading as the cached one."""
    marks = taken(snapshot, cached(state))
    return state._replace(
        watermark_min_pages=marks.min_pages,
        watermark_low_pages=marks.low_pages,
        watermark_high_pages=marks.high_pages,
        watermarks_ms=marks.taken_ms,
    )
