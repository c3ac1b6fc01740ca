"""Thrashing: file pages read back soon after they were reclaimed, as % of the file LRU, over a window of a second."""

from __future__ import annotations

from .config import PolicyConfig
from .vocabulary import Compat

WINDOW_MS = 1000
# Half the range of the trace's 64-bit fields: broken counters saturate instead of overflowing a record.
PCT_LIMIT = 1 << 62

_AOSP = int(Compat.AOSP)


def measure(
    now_ms: int,
    refault_pages: int,
    file_lru_pages: int,
    growth_pct: int,
    base_file_lru_pages: int,
    init_refault_pages: int,
    start_ms: int,
    limit_pct: int,
    config: PolicyConfig,
) -> tuple[int, int, int, int, int, int]:
    """(thrashing_pct, growth_pct, base_file_lru_pages, init_refault_pages, start_ms, limit_pct): now, and the window.

    A window is what was counted at its start, the growth carried over from the one before and the current limit, cut
    by kills until the window is over. Then its growth is carried into the next: whole if it was over the limit and one
    window passed, else halved for each window; and the limit is the configured one again.
    """
    refaults = refault_pages - init_refault_pages
    base = base_file_lru_pages + 1 or 1
    # Truncated toward zero, as C does.
    pct = refaults * 100 // base if refaults >= 0 else -(-refaults * 100 // base)
    if not -PCT_LIMIT <= pct <= PCT_LIMIT:
        pct = _bounded(pct)
    elapsed_ms = now_ms - start_ms
    if elapsed_ms <= WINDOW_MS:
        pct += growth_pct
        if not -PCT_LIMIT <= pct <= PCT_LIMIT:
            pct = _bounded(pct)
        return pct, growth_pct, base_file_lru_pages, init_refault_pages, start_ms, limit_pct
    windows = elapsed_ms // WINDOW_MS
    if windows > 1 or pct < limit_pct:
        pct = _halved(pct, windows, config)
    return pct, pct, file_lru_pages, refault_pages, now_ms, config.thrashing_limit_pct


def _halved(pct: int, times: int, config: PolicyConfig) -> int:
    if config.compat == _AOSP:
        return pct >> (times & 63)  # what x86 and arm64 make of an undefined shift (defect shift_ge_64)
    return pct >> times if times < 63 else 0


def _bounded(pct: int) -> int:
    return max(-PCT_LIMIT, min(pct, PCT_LIMIT))
