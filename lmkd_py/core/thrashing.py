"""Thrashing: file pages read back soon after they were reclaimed, as % of the file LRU, over a window of a second."""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig
from .numbers import AOSP_EXACT

WINDOW_MS: Final = 1000
# Half the range of the trace's 64-bit fields: broken counters saturate instead of overflowing a record.
PCT_LIMIT: Final = 1 << 62


class Window(NamedTuple):
    """What was counted at its start, the growth carried over from the one before, and the limit, cut by kills."""

    growth_pct: int
    base_file_lru_pages: int
    init_refault_pages: int
    start_ms: int
    limit_pct: int


class Thrashing(NamedTuple):
    """How much now, and the window to go on with."""

    pct: int
    window: Window


def measure(now_ms: int, refault_pages: int, file_lru_pages: int, window: Window, config: PolicyConfig) -> Thrashing:
    """Thrashing now.

    When the window is over, its growth is carried into the next: whole if it was over the limit and one window passed,
    else halved for each window; and the limit is the configured one again.
    """
    refaults = refault_pages - window.init_refault_pages
    base = window.base_file_lru_pages + 1
    if base == 0:
        base = 1
    # Truncated toward zero, as C does.
    pct = _bounded(refaults * 100 // base if refaults >= 0 else -(-refaults * 100 // base))
    elapsed_ms = now_ms - window.start_ms
    if elapsed_ms <= WINDOW_MS:
        return Thrashing(_bounded(pct + window.growth_pct), window)
    windows = elapsed_ms // WINDOW_MS
    if windows > 1 or pct < window.limit_pct:
        pct = _halved(pct, windows, config)
    return Thrashing(pct, Window(pct, file_lru_pages, refault_pages, now_ms, config.thrashing_limit_pct))


def _halved(pct: int, times: int, config: PolicyConfig) -> int:
    if config.kind == AOSP_EXACT:
        return pct >> (times & 63)  # what x86 and arm64 make of an undefined shift (defect shift_ge_64)
    return pct >> times if times < 63 else 0


def _bounded(pct: int) -> int:
    if pct > PCT_LIMIT:
        return PCT_LIMIT
    return pct if pct >= -PCT_LIMIT else -PCT_LIMIT
