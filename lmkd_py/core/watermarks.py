"""Zone watermarks: when the cached sums are too old, and which one free memory has fallen below."""

from __future__ import annotations

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


def breached(free_pages: int, marks: tuple[int, int, int]) -> int:
    """The lowest of (min, low, high) that `free_pages` is strictly below; NONE for those that are ABSENT."""
    if free_pages < marks[0]:
        return _MIN
    if free_pages < marks[1]:
        return _LOW
    return _HIGH if free_pages < marks[2] else _NONE
