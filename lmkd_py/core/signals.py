"""What the raw counters mean: one value that the rules read. Derived anew at every wakeup, never stored."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .vocabulary import ABSENT


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


def swap(
    page_kb: int,
    mem_free_kb: int,
    inactive_file_kb: int,
    swap_total_kb: int,
    swap_free_kb: int,
    active_anon_kb: int,
    inactive_anon_kb: int,
    shmem_kb: int,
    config: PolicyConfig,
) -> tuple[int, int, int, int]:
    """Signals' free_swap_kb, swap_low_threshold_kb, swap_is_low and swap_util_pct.

    Swap on zram takes memory itself: only as much of it is free as the memory that is easy to reclaim can back.
    """
    if swap_total_kb < 0 or swap_free_kb < 0:
        return ABSENT, 0, 0, ABSENT
    total = swap_total_kb // page_kb
    free = swap_free_kb // page_kb
    ratio = config.swap_compression_ratio
    if ratio and inactive_file_kb >= 0:
        backed = (mem_free_kb // page_kb + inactive_file_kb // page_kb) * ratio
        if backed < free:
            free = backed
    threshold = total * config.swap_free_low_pct // 100
    util_pct = ABSENT
    if active_anon_kb >= 0 and inactive_anon_kb >= 0 and shmem_kb >= 0:
        used = total - free
        swappable = active_anon_kb // page_kb + inactive_anon_kb // page_kb + shmem_kb // page_kb + used
        util_pct = used * 100 // swappable if swappable > 0 and used > 0 else 0
    return free * page_kb, threshold * page_kb, 1 if free < threshold else 0, util_pct
