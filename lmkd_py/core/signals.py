"""What the raw counters mean: one value that the rules read. Derived anew at every wakeup, never stored."""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig
from .numbers import AOSP_EXACT
from .snapshot import Snapshot
from .vocabulary import ABSENT

ZRAM_TELLS_KB: Final = 8192  # stored in zram: below, a few odd pages would set the ratio


class Signals(NamedTuple):
    """Inputs of the rules. Percentages and kB, no raw counters; ABSENT where the counters behind it are."""

    kind: int  # WakeupKind
    level: int  # Level
    free_swap_kb: int  # estimated
    swap_low_threshold_kb: int
    swap_is_low: bool
    swap_util_pct: int
    reclaim: int  # ReclaimState
    direct_reclaim_ms: int  # how long direct reclaim has been seen; 0 if there is none
    thrashing_pct: int
    thrashing_limit_pct: int  # the current one, cut by kills
    file_lru_kb: int
    breached: int  # Watermark
    cycle_after_kill: bool  # the evaluation before this one struck
    check_filecache: bool  # a thrashing rule matched and the file cache has not been seen healthy since
    vendor_reason: int
    vendor_min_adj: int


def seen_again(signals: Signals, breached: int, check_filecache: bool) -> Signals:
    """The same signals with another watermark and another watch over the file cache."""
    return Signals(
        signals.kind,
        signals.level,
        signals.free_swap_kb,
        signals.swap_low_threshold_kb,
        signals.swap_is_low,
        signals.swap_util_pct,
        signals.reclaim,
        signals.direct_reclaim_ms,
        signals.thrashing_pct,
        signals.thrashing_limit_pct,
        signals.file_lru_kb,
        breached,
        signals.cycle_after_kill,
        check_filecache,
        signals.vendor_reason,
        signals.vendor_min_adj,
    )


class Swap(NamedTuple):
    """What swap can still take."""

    free_kb: int  # estimated; ABSENT where the domain has no swap counters
    low_threshold_kb: int
    is_low: bool
    util_pct: int  # share of what can be swapped that is; ABSENT if unknown


def swap(snapshot: Snapshot, config: PolicyConfig) -> Swap:
    """What swap can still take. page_kb is above 0."""
    if snapshot.swap_total_kb < 0 or snapshot.swap_free_kb < 0:
        return Swap(ABSENT, 0, False, ABSENT)
    page_kb = snapshot.page_kb
    total = snapshot.swap_total_kb // page_kb
    free = snapshot.swap_free_kb // page_kb
    if config.swap_compression_ratio != 0 and snapshot.inactive_file_kb >= 0:
        free = min(free, _backed(snapshot, config))
    threshold = total * config.swap_free_low_pct // 100
    util_pct = ABSENT
    if snapshot.active_anon_kb >= 0 and snapshot.inactive_anon_kb >= 0 and snapshot.shmem_kb >= 0:
        used = total - free
        anon = snapshot.active_anon_kb // page_kb + snapshot.inactive_anon_kb // page_kb
        swappable = anon + snapshot.shmem_kb // page_kb + used
        util_pct = used * 100 // swappable if swappable > 0 and used > 0 else 0
    return Swap(free * page_kb, threshold * page_kb, free < threshold, util_pct)


def _backed(snapshot: Snapshot, config: PolicyConfig) -> int:
    # Swap on zram takes memory itself: only as many pages of it are free as the memory that is easy to reclaim can
    # back. By how much it shrinks what is stored, zram tells as soon as enough is there; before, by half.
    easy = snapshot.mem_free_kb // snapshot.page_kb + snapshot.inactive_file_kb // snapshot.page_kb
    if config.swap_compression_ratio > 0:
        return easy * config.swap_compression_ratio
    mixed = 0 <= snapshot.zram_swap_kb < snapshot.swap_total_kb
    if snapshot.zram_stored_kb <= 0 or mixed or config.kind == AOSP_EXACT:
        return easy
    if snapshot.zram_stored_kb < ZRAM_TELLS_KB:
        return 2 * easy
    used_kb = snapshot.zram_used_kb if snapshot.zram_used_kb != 0 else 1
    return easy * snapshot.zram_stored_kb // used_kb
