"""All that the policy remembers between wakeups, as one value of plain ints (so a trace can hold it)."""

from __future__ import annotations

from typing import NamedTuple

from .vocabulary import ABSENT


class PolicyState(NamedTuple):
    """Memory of decide(). Every field is an int; the trace schema mirrors the names.

    A state is settled lazily: what a strike changes is applied at the start of the next judge(), from
    snapshot.outcome. Times are CLOCK_MONOTONIC milliseconds.
    """

    started: int = 0  # 1: thrashing has been measured; until then there is no baseline
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
    kswapd_progress: int = 0
    direct_progress: int = 0
    refill_progress: int = 0
    hangs: int = 0
    watermark_min_pages: int = ABSENT
    watermark_low_pages: int = ABSENT
    watermark_high_pages: int = ABSENT
    watermarks_ms: int = 0  # when they were taken
    first_kill_done: int = 0
    direct_since_ms: int = ABSENT  # not AOSP_EXACT: first of the consecutive evaluations that saw direct reclaim
    # Not AOSP_EXACT, from here on; see growth.py and futile.py
    counted_ms: int = 0  # when last_refault_pages was read
    refault_fell: int = 0  # 1: the last reading was below last_refault_pages and was not believed
    victim_kb: int = 0  # memory and swap of the victim whose effect is awaited; 0: none is
    victim_free_kb: int = 0  # free memory and free swap when it was struck
    victim_dead_ms: int = ABSENT  # first evaluation after its death; ABSENT: it is not dead
    futile_kills: int = 0  # kills in a row that freed nothing
    futile_kb: int = 0  # memory and swap of their victims
    futile_free_kb: int = 0  # free memory and free swap before the first of them
    hold_ms: int = 0  # how long nobody is to be killed after the last of them
    held_until_ms: int = 0
    # STEADY only, from here on; see steady.py and stall.py
    dying_kb: int = ABSENT  # what the victim had whose death is under way; ABSENT: nobody is dying
    stuck_since_ms: int = ABSENT  # first of the EXHAUSTED verdicts in a row that found nobody
    hung_ms: int = ABSENT  # when all tasks of the domain were last found waiting in vain; ABSENT: not since a death
    stall_since_ms: int = ABSENT  # when the window over stall and refaults began; ABSENT: none is open
    stall_some_us: int = 0  # the counters at its start
    stall_file_pages: int = ABSENT
    stall_anon_pages: int = ABSENT
    stall_pct: int = ABSENT  # PSI some in the window before
    stall_refault_permille: int = ABSENT  # of RAM a second read back in the window before
    stall_windows: int = 0  # bad windows in a row
    stall_verdict: int = 0  # 1: the last evaluation's verdict was STALLED
    stall_kills: int = 0  # for stall in a row without fewer refaults, at most 3
    stall_kill_permille: int = ABSENT  # stall_refault_permille at the last of them
    stall_wait_ms: int = 0  # how long the next has to wait
    stall_wait_until_ms: int = 0


INITIAL = PolicyState()
