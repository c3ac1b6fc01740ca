"""What the raw counters mean: one value that the rules read. Derived anew at every wakeup, never stored."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .snapshot import Snapshot
from .state import PolicyState
from .vocabulary import ABSENT, Compat, ReclaimState

_NONE = int(ReclaimState.NONE)
_KSWAPD = int(ReclaimState.KSWAPD)
_DIRECT = int(ReclaimState.DIRECT)
_AOSP = int(Compat.AOSP)


class Signals(NamedTuple):
    """Inputs of the rules. Percentages and kB, no raw counters; ABSENT where the counters behind it are."""

    kind: int  # WakeupKind
    level: int  # Level
    free_swap_kb: int  # estimated
    swap_low_threshold_kb: int
    swap_is_low: int
    swap_util_pct: int
    reclaim: int  # ReclaimState
    direct_reclaim_ms: int  # how long direct reclaim has been seen; 0 if there is none
    thrashing_pct: int
    thrashing_limit_pct: int  # the current one, cut by kills
    file_lru_kb: int
    breached: int  # Watermark
    cycle_after_kill: int  # 1: the evaluation before this one struck
    check_filecache: int  # 1: a thrashing rule matched and the file cache has not been seen healthy since
    vendor_reason: int
    vendor_min_adj: int


def swap(snapshot: Snapshot, config: PolicyConfig) -> tuple[int, int, int]:
    """(estimated free swap, threshold below which it is low, both in pages, utilisation in %); ABSENT without swap.

    Swap on zram takes memory itself: only as much of it is free as the memory that is easy to reclaim can back.
    """
    page_kb = snapshot.page_kb
    if snapshot.swap_total_kb < 0 or snapshot.swap_free_kb < 0:
        return ABSENT, 0, ABSENT
    total = snapshot.swap_total_kb // page_kb
    free = snapshot.swap_free_kb // page_kb
    if config.swap_compression_ratio and snapshot.inactive_file_kb >= 0:
        easy = snapshot.mem_free_kb // page_kb + snapshot.inactive_file_kb // page_kb
        free = min(free, easy * config.swap_compression_ratio)
    threshold = total * config.swap_free_low_pct // 100
    return free, threshold, _swap_util_pct(snapshot, total - free)


def _swap_util_pct(snapshot: Snapshot, used: int) -> int:
    if snapshot.active_anon_kb < 0 or snapshot.inactive_anon_kb < 0 or snapshot.shmem_kb < 0:
        return ABSENT
    page_kb = snapshot.page_kb
    resident = snapshot.active_anon_kb // page_kb + snapshot.inactive_anon_kb // page_kb + snapshot.shmem_kb // page_kb
    swappable = resident + used
    return used * 100 // swappable if swappable > 0 and used > 0 else 0


class Reclaim(NamedTuple):
    """Who reclaims, since when, and the counters to compare with next time."""

    state: int  # ReclaimState
    direct_ms: int
    direct_since_ms: int
    pgscan_kswapd_pages: int
    pgscan_direct_pages: int
    pgrefill_pages: int


def reclaim(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Reclaim:
    """Reclaim since the last evaluation: by the kernel's own events where they come, else by counters that moved."""
    kswapd = state.pgscan_kswapd_pages
    direct = state.pgscan_direct_pages
    refill = state.pgrefill_pages
    if snapshot.memevents > 0:
        since_ms = snapshot.direct_reclaim_since_ms
        if since_ms > 0:
            return Reclaim(_DIRECT, snapshot.now_ms - since_ms, ABSENT, kswapd, direct, refill)
        return Reclaim(_KSWAPD if snapshot.kswapd_since_ms > 0 else _NONE, 0, ABSENT, kswapd, direct, refill)
    if 0 <= snapshot.pgscan_direct_pages != direct:
        since_ms = state.direct_since_ms if state.direct_since_ms >= 0 else snapshot.now_ms
        # AOSP has no start time here and counts from boot (defect direct_duration_uptime).
        ms = snapshot.now_ms if config.compat == _AOSP else snapshot.now_ms - since_ms
        return Reclaim(
            _DIRECT, ms, since_ms, snapshot.pgscan_kswapd_pages, snapshot.pgscan_direct_pages, snapshot.pgrefill_pages
        )
    if 0 <= snapshot.pgscan_kswapd_pages != kswapd:
        return Reclaim(_KSWAPD, 0, ABSENT, snapshot.pgscan_kswapd_pages, direct, snapshot.pgrefill_pages)
    if 0 <= snapshot.pgrefill_pages != refill:
        return Reclaim(_KSWAPD, 0, ABSENT, kswapd, direct, snapshot.pgrefill_pages)
    return Reclaim(_NONE, 0, ABSENT, kswapd, direct, refill)


def file_lru_pages(snapshot: Snapshot) -> int:
    """Pages of the file LRU, or ABSENT."""
    if snapshot.nr_inactive_file_pages < 0 or snapshot.nr_active_file_pages < 0:
        return ABSENT
    return snapshot.nr_inactive_file_pages + snapshot.nr_active_file_pages


def refaults_stand_still(snapshot: Snapshot, state: PolicyState) -> bool:
    """No page was read back since the last evaluation. Unknown counts as still where reclaim at least is known."""
    if snapshot.workingset_refault_pages >= 0:
        return snapshot.workingset_refault_pages == state.last_refault_pages
    return _reclaim_is_known(snapshot)


def _reclaim_is_known(snapshot: Snapshot) -> bool:
    return (
        snapshot.memevents > 0
        or snapshot.pgscan_kswapd_pages >= 0
        or snapshot.pgscan_direct_pages >= 0
        or snapshot.pgrefill_pages >= 0
    )
