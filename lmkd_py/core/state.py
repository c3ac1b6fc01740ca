"""All that the policy remembers between wakeups, as one value of plain ints (so a trace can hold it)."""

from __future__ import annotations

from typing import NamedTuple

from .vocabulary import ABSENT


class PolicyState(NamedTuple):
    """Memory of decide(). Every field is an int; docs/trace.proto mirrors the names."""

    started: int = 0  # 1: a first evaluation has set the baselines
    awaiting: int = 0  # 1: a struck victim is awaited
    struck_ms: int = 0  # when it was struck
    killed_last: int = 0  # 1: the last full evaluation struck somebody (AOSP's `killing`)
    cycle_after_kill: int = 0
    last_reason: int = ABSENT  # reason of the last verdict; settles the thrashing limit once the outcome is known
    level_filter: int = 0  # Level of the last real event until the first poll resets it
    thrashing_limit_pct: int = ABSENT  # current (decayed) limit; ABSENT: take the configured one
    prev_growth_pct: int = 0
    base_file_lru_pages: int = 0
    init_refault_pages: int = 0
    last_refault_pages: int = 0
    window_start_ms: int = 0
    max_thrashing_pct: int = 0
    check_filecache: int = 0
    pgscan_kswapd_pages: int = 0
    pgscan_direct_pages: int = 0
    pgrefill_pages: int = 0
    watermark_min_pages: int = ABSENT
    watermark_low_pages: int = ABSENT
    watermark_high_pages: int = ABSENT
    watermarks_ms: int = 0  # when they were read
    first_kill_done: int = 0
    direct_since_ms: int = 0  # improved: first of the consecutive evaluations that saw direct reclaim


INITIAL = PolicyState()
