"""What an evaluation derives from the counters before any rule is asked. judge() and explain both use it."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .growth import Refaults, refaults
from .measured import Seen, begun, file_lru, is_still, measured
from .numbers import NO_MARK
from .reclaim import Reclaim, reclaiming
from .settle import Settled, settle
from .signals import Signals, Swap, swap
from .snapshot import Snapshot
from .state import PolicyState
from .vocabulary import ABSENT
from .wakeup import Wakeup, announced, believed
from .watermarks import cached_marks


class Derived(NamedTuple):
    """All of it. Where `still`, nothing moved and nothing was measured."""

    swapped: Swap
    reclaim: Reclaim
    counted: Refaults
    file_lru_kb: int  # ABSENT if it is not known
    still: bool
    seen: Seen


def derive(wakeup: Wakeup, settled: Settled, snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Derived:
    """For an evaluation that does not end early; page_kb is above 0."""
    swapped = swap(snapshot, config)
    reclaim = reclaiming(snapshot, state, config)
    counted = refaults(snapshot, state, config)
    file_lru_pages = file_lru(snapshot)
    still = is_still(wakeup.kind, snapshot, reclaim, counted)
    window = begun(snapshot, state, settled, counted, file_lru_pages, still, config)
    if still:
        seen = Seen(0, settled.max_thrashing_pct, window, cached_marks(state), 0, NO_MARK)
    else:
        seen = measured(snapshot, state, settled, counted, file_lru_pages, window, config)
    file_lru_kb = file_lru_pages * snapshot.page_kb if file_lru_pages >= 0 else ABSENT
    return Derived(swapped, reclaim, counted, file_lru_kb, still, seen)


def signals_from(derived: Derived, wakeup: Wakeup, settled: Settled, snapshot: Snapshot, state: PolicyState) -> Signals:
    """The inputs of the rules."""
    swapped, reclaim, seen = derived.swapped, derived.reclaim, derived.seen
    return Signals(
        wakeup.kind,
        wakeup.level,
        swapped.free_kb,
        swapped.low_threshold_kb,
        swapped.is_low,
        swapped.util_pct,
        reclaim.by,
        reclaim.direct_ms,
        seen.thrashing_pct,
        seen.window.limit_pct,
        derived.file_lru_kb,
        seen.breached,
        settled.killed_last != 0,
        state.check_filecache != 0,
        snapshot.vendor_reason,
        snapshot.vendor_min_adj,
    )


def signals_of(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Signals:
    """What the rules are first asked with at this wakeup. Not the kill path; page_kb is above 0."""
    wakeup = believed(announced(snapshot), snapshot, config)
    settled = settle(snapshot, state, config)
    return signals_from(derive(wakeup, settled, snapshot, state, config), wakeup, settled, snapshot, state)
