"""Thrashing: file pages read back soon after they were reclaimed, as % of the file LRU, over a window of a second."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .vocabulary import Compat

WINDOW_MS = 1000
# Half the range of the trace's 64-bit fields: broken counters saturate instead of overflowing a record.
_PCT_LIMIT = 1 << 62

_AOSP = int(Compat.AOSP)


class Window(NamedTuple):
    """A thrashing window and, once measured, the value in it."""

    pct: int
    growth_pct: int  # carried over from the window before
    base_file_lru_pages: int
    init_refault_pages: int
    start_ms: int
    limit_pct: int  # the current limit, cut by kills until the window is over


def growth_pct(refaults: int, file_lru_pages: int) -> int:
    """Refaults as % of the file LRU they happened on; truncated toward zero as C does."""
    divisor = file_lru_pages + 1
    pct = refaults * 100 // divisor if refaults >= 0 else -(-refaults * 100 // divisor)
    return _bounded(pct)


def measure(now_ms: int, refault: int, file_lru: int, window: Window, config: PolicyConfig) -> Window:
    """Thrashing now; neither counter may be ABSENT.

    When the window is over its growth is carried into the next: whole if it was over the limit and one window
    passed, else halved for each window. The limit is then the configured one again.
    """
    pct = growth_pct(refault - window.init_refault_pages, window.base_file_lru_pages)
    elapsed_ms = now_ms - window.start_ms
    if elapsed_ms <= WINDOW_MS:
        pct = _bounded(pct + window.growth_pct)
        # Positional, as everywhere on the path of a wakeup: _replace() costs more than all the arithmetic.
        return Window(pct, *window[1:])
    windows = elapsed_ms // WINDOW_MS
    if windows > 1 or pct < window.limit_pct:
        pct = _halved(pct, windows, config)
    return Window(pct, pct, file_lru, refault, now_ms, config.thrashing_limit_pct)


def _halved(pct: int, times: int, config: PolicyConfig) -> int:
    if config.compat == _AOSP:
        return pct >> (times & 63)  # what x86 and arm64 make of an undefined shift (defect shift_ge_64)
    return pct >> times if times < 63 else 0


def _bounded(pct: int) -> int:
    if -_PCT_LIMIT <= pct <= _PCT_LIMIT:
        return pct
    return _PCT_LIMIT if pct > 0 else -_PCT_LIMIT
