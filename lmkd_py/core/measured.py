"""What is measured at a wakeup that gets so far: whether anything moves, thrashing, and the breached watermark."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .growth import Refaults
from .numbers import AOSP_EXACT, NO_RECLAIM, VENDOR
from .reclaim import Reclaim, is_known
from .settle import Settled
from .snapshot import Snapshot
from .state import PolicyState
from .thrashing import Window, measure
from .vocabulary import ABSENT
from .watermarks import Marks, breached, cached_marks, fresh_marks, too_old


class Seen(NamedTuple):
    """What was measured, or that nothing was as nothing moved."""

    thrashing_pct: int
    max_thrashing_pct: int
    window: Window
    marks: Marks
    free_pages: int
    breached: int  # Watermark


def file_lru(snapshot: Snapshot) -> int:
    """Pages of the file LRU; ABSENT if one half is."""
    if snapshot.nr_inactive_file_pages < 0 or snapshot.nr_active_file_pages < 0:
        return ABSENT
    return snapshot.nr_inactive_file_pages + snapshot.nr_active_file_pages


def is_still(kind: int, snapshot: Snapshot, reclaim: Reclaim, counted: Refaults) -> bool:
    """Nothing reclaimed and nothing read back: whatever the free memory, nobody needs more. A vendor knows better.

    Unknown refaults count as none where reclaim at least is known.
    """
    if reclaim.by != NO_RECLAIM or kind == VENDOR:
        return False
    return counted.now_pages == counted.last_pages if counted.now_pages >= 0 else is_known(snapshot)


def begun(
    snapshot: Snapshot,
    state: PolicyState,
    settled: Settled,
    counted: Refaults,
    file_lru_pages: int,
    still: bool,
    config: PolicyConfig,
) -> Window:
    """The thrashing window that is open.

    It begins anew after a kill, and at the first measurement unless AOSP_EXACT: AOSP takes all refaults since boot for
    growth of the first second (defect first_eval_growth).
    """
    limit_pct = settled.limit_pct if settled.limit_pct >= 0 else config.thrashing_limit_pct
    first = not still and state.started == 0 and config.kind != AOSP_EXACT
    if counted.now_pages >= 0 and file_lru_pages >= 0 and (settled.killed_last != 0 or first):
        return Window(0, file_lru_pages, counted.now_pages, snapshot.now_ms, limit_pct)
    return Window(
        state.prev_growth_pct, state.base_file_lru_pages, counted.init_pages, state.window_start_ms, limit_pct
    )


def measured(
    snapshot: Snapshot,
    state: PolicyState,
    settled: Settled,
    counted: Refaults,
    file_lru_pages: int,
    window: Window,
    config: PolicyConfig,
) -> Seen:
    """Thrashing now, and the lowest watermark that free memory, CMA left out, is strictly below."""
    thrashing_pct = 0
    max_thrashing_pct = settled.max_thrashing_pct
    if counted.now_pages >= 0 and file_lru_pages >= 0:
        thrashing = measure(snapshot.now_ms, counted.now_pages, file_lru_pages, window, config)
        thrashing_pct, window = thrashing.pct, thrashing.window
        max_thrashing_pct = max(max_thrashing_pct, thrashing_pct)
    marks = cached_marks(state)
    if too_old(marks, snapshot.now_ms, snapshot.memevents):
        marks = fresh_marks(marks, snapshot, config)
    free_pages = snapshot.mem_free_kb // snapshot.page_kb
    if snapshot.cma_free_kb > 0:
        free_pages -= snapshot.cma_free_kb // snapshot.page_kb
    return Seen(thrashing_pct, max_thrashing_pct, window, marks, free_pages, breached(free_pages, marks))
