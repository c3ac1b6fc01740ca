"""All that the policy remembers between wakeups, as one value of plain ints (so a trace can hold it)."""

from __future__ import annotations

from typing import NamedTuple

from .vocabulary import ABSENT


class PolicyState(NamedTuple):
    """Memory of decide(). Every field is an int; the trace schema mirrors the names.

    A state is settled lazily: what a strike changes is applied at the start of the next judge(), from
    snapshot.outcome. Times are CLOCK_MONOTONIC milliseconds.
    """

    started: int = 0  # 1: thrashing has been measured; until then improved has no baseline
    killed_last: int = 0  # 1: the last evaluation freed memory by a strike (AOSP's `killing`)
    struck_ms: int = 0  # when the victim that may still be awaited was struck
    cut_limit_pct: int = ABSENT  # the thrashing limit to go on with if the decided strike succeeds; ABSENT: no change
    level_filter: int = 0  # Level of the last real event, until the first poll resets it
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
    watermarks_ms: int = 0  # when they were taken
    first_kill_done: int = 0
    direct_since_ms: int = ABSENT  # improved: first of the consecutive evaluations that saw direct reclaim


INITIAL = PolicyState()
