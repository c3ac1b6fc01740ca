"""The first half of a decision: settle the last strike, derive the signals, climb the ladder.

judge() is long for speed: after a tenth of a second of thrashing nothing of ours is left in the CPU's caches, and every
further function, attribute and global that a wakeup touches costs a miss (measured: 115 us in many functions, 48 us
so). Hence the large tuples are taken apart once and made by position; calls hand over plain numbers. The rules stay
functions: they are the policy.
"""

from __future__ import annotations

from typing import Optional

from .config import PolicyConfig
from .decision import Judgement, Verdict
from .first_kill import climb_again
from .ladder import AFTER_KILL, ASKED, DIRECT, ENTAILED, LADDERS, LOW_MEM, LOW_SWAP, STALLED, WATCHED
from .polling import Request
from .signals import Signals, swap
from .snapshot import Snapshot
from .state import PolicyState
from .thrashing import measure
from .vocabulary import ABSENT, Action, Compat, KillReason, Level, ReclaimState, WakeupKind, Watermark
from .watermarks import REFRESH_MS

# Plain ints: comparing IntEnum members costs a call each. Side by side: what lies together is fetched together.
_EVENT = int(WakeupKind.EVENT)
_POLL = int(WakeupKind.POLL)
_VENDOR = int(WakeupKind.VENDOR)
_ZONEINFO = int(WakeupKind.ZONEINFO)
_LOW_LEVEL = int(Level.LOW)
_CRITICAL = int(Level.CRITICAL)
_STILL = int(ReclaimState.NONE)
_KSWAPD = int(ReclaimState.KSWAPD)
_DIRECT = int(ReclaimState.DIRECT)
_MIN = int(Watermark.MIN)
_LOW = int(Watermark.LOW)
_HIGH = int(Watermark.HIGH)
_UNBREACHED = int(Watermark.NONE)
_AOSP = int(Compat.AOSP)
_BAIL = int(Action.BAIL)
_NONE = int(Action.NONE)
_KILL = int(Action.KILL)
_IGNORED = int(Action.IGNORED)
_PENDING = int(Action.PENDING)
_INVALID = int(Action.INVALID)
_UNREADABLE = int(Action.UNREADABLE)
_NO_REASON = int(KillReason.NONE)
_KEEP, _START, _SLOW, _FAST = Request.KEEP, Request.START, Request.SLOW, Request.FAST
_VENDOR_REASON_MAX = 999
_VENDOR_REASON_MAX_AOSP = 1999  # defect vendor_reason_range
_new = tuple.__new__  # a NamedTuple's own constructor is one more Python function


def judge(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Judgement:
    """What this wakeup comes to and what the next one remembers. Candidates are not looked at. Never raises."""
    # fmt: off
    (
        now_ms, kind, level, page_kb, outcome, victim_alive,
        _mem_total_kb, mem_free_kb, _buffers_kb, _cached_kb, _swap_cached_kb,
        active_anon_kb, inactive_anon_kb, _active_file_kb, inactive_file_kb, _unevictable_kb,
        swap_total_kb, swap_free_kb, shmem_kb, _sreclaimable_kb, _sunreclaim_kb, _kernel_stack_kb, _page_tables_kb,
        cma_free_kb, nr_inactive_file_pages, nr_active_file_pages, workingset_refault_pages,
        pgscan_kswapd_pages, pgscan_direct_pages, pgrefill_pages,
        watermark_min_pages, watermark_low_pages, watermark_high_pages,
        _psi_mem_some_avg10_centi_pct, psi_mem_full_avg10_centi_pct, _psi_io_some_avg10_centi_pct,
        _psi_io_full_avg10_centi_pct, _psi_cpu_some_avg10_centi_pct, _psi_mem_some_total_us, _psi_mem_full_total_us,
        memevents, direct_reclaim_since_ms, kswapd_since_ms, vendor_reason, vendor_min_adj, _candidates,
    ) = snapshot
    (
        started, killed_last, struck_ms, cut_limit_pct, level_filter, limit_pct, prev_growth_pct,
        base_file_lru_pages, init_refault_pages, last_refault_pages, window_start_ms, max_thrashing_pct,
        check_filecache, last_kswapd_pages, last_direct_pages, last_refill_pages,
        min_pages, low_pages, high_pages, watermarks_ms, first_kill_done, direct_since_ms,
    ) = state
    # fmt: on
    compat = config.compat

    # What became of the last decision.
    if outcome.pid > 0:
        # To AOSP a victim without one whole page is no kill (defect tiny_rss_second_kill).
        if outcome.rss_pages != 0 or compat != _AOSP:
            killed_last = 1
            max_thrashing_pct = 0
            if cut_limit_pct >= 0:
                limit_pct = cut_limit_pct
        struck_ms = outcome.at_ms
    cut_limit_pct = ABSENT

    # Evaluations that end before anything is measured.
    action = 0
    request = _KEEP
    if kind == _EVENT:
        if level < level_filter:
            action = _IGNORED
        else:
            level_filter = level
    elif kind == _POLL:
        level_filter = _LOW_LEVEL
    elif kind == _ZONEINFO:
        action = _NONE
        if watermark_high_pages >= 0:
            min_pages, low_pages, high_pages = watermark_min_pages, watermark_low_pages, watermark_high_pages
            watermarks_ms = now_ms
    if not action:
        if victim_alive > 0 and (config.kill_timeout_ms == 0 or now_ms - struck_ms < config.kill_timeout_ms):
            action = _PENDING
        elif kind == _EVENT and level <= _LOW_LEVEL:
            action = _NONE
            request = _START  # some reclaim goes on somewhere: look at it for a second
        elif mem_free_kb < 0 or page_kb < 1:
            action = _UNREADABLE
    if action:
        # fmt: off
        return _early(action, request, _new(PolicyState, (
            started, killed_last, struck_ms, cut_limit_pct, level_filter, limit_pct, prev_growth_pct,
            base_file_lru_pages, init_refault_pages, last_refault_pages, window_start_ms, max_thrashing_pct,
            check_filecache, last_kswapd_pages, last_direct_pages, last_refill_pages,
            min_pages, low_pages, high_pages, watermarks_ms, first_kill_done, direct_since_ms,
        )))
        # fmt: on

    # fmt: off
    free_swap_kb, swap_low_threshold_kb, swap_is_low, swap_util_pct = swap(
        page_kb, mem_free_kb, inactive_file_kb, swap_total_kb, swap_free_kb,
        active_anon_kb, inactive_anon_kb, shmem_kb, config,
    )
    # fmt: on

    # Who reclaims since the last evaluation: by the kernel's own events where they come, else by counters that moved.
    reclaim = _STILL
    direct_reclaim_ms = 0
    since_ms = direct_since_ms
    direct_since_ms = ABSENT
    if memevents > 0:
        if direct_reclaim_since_ms > 0:
            reclaim = _DIRECT
            direct_reclaim_ms = now_ms - direct_reclaim_since_ms
        elif kswapd_since_ms > 0:
            reclaim = _KSWAPD
    elif 0 <= pgscan_direct_pages != last_direct_pages:
        reclaim = _DIRECT
        direct_since_ms = since_ms if since_ms >= 0 else now_ms
        # AOSP has no start time here and counts from boot (defect direct_duration_uptime).
        direct_reclaim_ms = now_ms if compat == _AOSP else now_ms - direct_since_ms
        last_kswapd_pages, last_direct_pages = pgscan_kswapd_pages, pgscan_direct_pages
        last_refill_pages = pgrefill_pages
    elif 0 <= pgscan_kswapd_pages != last_kswapd_pages:
        reclaim = _KSWAPD
        last_kswapd_pages, last_refill_pages = pgscan_kswapd_pages, pgrefill_pages
    elif 0 <= pgrefill_pages != last_refill_pages:
        reclaim = _KSWAPD
        last_refill_pages = pgrefill_pages

    # Nothing reclaimed and nothing read back: whatever the free memory, nobody needs more. A vendor knows better.
    # Unknown refaults count as none where reclaim at least is known.
    refault = workingset_refault_pages
    still = reclaim == _STILL and kind != _VENDOR
    if still:
        if refault >= 0:
            still = refault == last_refault_pages
        else:
            known = memevents > 0 or pgscan_kswapd_pages >= 0 or pgscan_direct_pages >= 0
            still = known or pgrefill_pages >= 0

    # A thrashing window begins anew after a kill, and at improved's first measurement: AOSP takes all refaults since
    # boot for growth of the first second (defect first_eval_growth).
    if limit_pct < 0:
        limit_pct = config.thrashing_limit_pct
    file_lru = ABSENT
    if nr_inactive_file_pages >= 0 and nr_active_file_pages >= 0:
        file_lru = nr_inactive_file_pages + nr_active_file_pages
    measurable = refault >= 0 and file_lru >= 0
    if measurable and (killed_last or not (still or started or compat == _AOSP)):
        prev_growth_pct = 0
        base_file_lru_pages, init_refault_pages, window_start_ms = file_lru, refault, now_ms
    thrashing_pct = free = 0
    below = _UNBREACHED
    if not still:
        if measurable:
            # fmt: off
            (
                thrashing_pct, prev_growth_pct, base_file_lru_pages, init_refault_pages, window_start_ms, limit_pct,
            ) = measure(
                now_ms, refault, file_lru, prev_growth_pct,
                base_file_lru_pages, init_refault_pages, window_start_ms, limit_pct, config,
            )
            # fmt: on
            if thrashing_pct > max_thrashing_pct:
                max_thrashing_pct = thrashing_pct

        # The lowest watermark that free memory, CMA left out, is strictly below. watermarks_due(), spelled out.
        due = high_pages <= 0 or (memevents <= 0 and now_ms - watermarks_ms > REFRESH_MS)
        if due and watermark_high_pages >= 0:
            min_pages, low_pages, high_pages = watermark_min_pages, watermark_low_pages, watermark_high_pages
            watermarks_ms = now_ms
        free = mem_free_kb // page_kb
        if cma_free_kb > 0:
            free -= cma_free_kb // page_kb
        below = _MIN if free < min_pages else _LOW if free < low_pages else _HIGH if free < high_pages else _UNBREACHED

    # The verdict and what goes with it.
    file_lru_kb = file_lru * page_kb if file_lru >= 0 else ABSENT
    reason = _NO_REASON
    min_adj = ABSENT
    if still:
        action = _BAIL
    elif kind == _VENDOR and not (
        0 <= vendor_reason <= (_VENDOR_REASON_MAX_AOSP if compat == _AOSP else _VENDOR_REASON_MAX)
        and vendor_min_adj >= 0
    ):
        action = _INVALID
    else:
        # fmt: off
        signals = _new(Signals, (
            kind, level, free_swap_kb, swap_low_threshold_kb, swap_is_low, swap_util_pct, reclaim, direct_reclaim_ms,
            thrashing_pct, limit_pct, file_lru_kb, below, killed_last, check_filecache, vendor_reason, vendor_min_adj,
        ))
        # fmt: on
        verdict: Optional[Verdict] = None
        situation = LOW_MEM if below <= _LOW else 0
        if swap_is_low:
            situation |= LOW_SWAP
        if reclaim == _DIRECT:
            situation |= DIRECT
        if killed_last:
            situation |= AFTER_KILL
        if check_filecache:
            situation |= WATCHED
        if kind == _VENDOR:
            situation |= ASKED
        elif kind == _EVENT and level == _CRITICAL:
            situation |= STALLED
        for rule in LADDERS[situation]:
            verdict = rule(signals, config)
            if verdict is not None:
                reason, min_adj = verdict
                break
        if verdict is None or first_kill_done:
            check_filecache, cuts_limit = ENTAILED.get(reason, (check_filecache, 0))
        else:
            first_kill_done = 1
            if watermark_high_pages >= 0:
                min_pages, low_pages, high_pages = watermark_min_pages, watermark_low_pages, watermark_high_pages
                watermarks_ms = now_ms
            reason, min_adj, below, check_filecache, cuts_limit = climb_again(
                verdict, signals, free, (min_pages, low_pages, high_pages), config
            )
        action = _NONE
        if reason != _NO_REASON:
            action = _KILL
            # Every task stalls: better a perceptible app than a hang.
            if psi_mem_full_avg10_centi_pct > config.stall_limit_critical_pct * 100:
                min_adj = 0
            if cuts_limit:
                cut_limit_pct = limit_pct * (100 - config.thrashing_limit_decay_pct) // 100
    if action != _INVALID:
        request = _FAST if swap_is_low else _SLOW
        if kind == _EVENT or reclaim == _DIRECT:
            request |= _START

    if action != _BAIL and measurable:
        started = 1
    if refault >= 0:
        last_refault_pages = refault
    killed_last = 0
    # fmt: off
    return _new(Judgement, (
        action, reason, min_adj, thrashing_pct, max_thrashing_pct, free_swap_kb, swap_low_threshold_kb, swap_util_pct,
        below, reclaim, file_lru_kb, direct_reclaim_ms, swap_is_low, request,
        _new(PolicyState, (
            started, killed_last, struck_ms, cut_limit_pct, level_filter, limit_pct, prev_growth_pct,
            base_file_lru_pages, init_refault_pages, last_refault_pages, window_start_ms, max_thrashing_pct,
            check_filecache, last_kswapd_pages, last_direct_pages, last_refill_pages,
            min_pages, low_pages, high_pages, watermarks_ms, first_kill_done, direct_since_ms,
        )),
    ))
    # fmt: on


def _early(action: int, request: int, state: PolicyState) -> Judgement:
    """An evaluation that ends before anything is measured."""
    return Judgement(
        action=action,
        reason=_NO_REASON,
        min_adj=ABSENT,
        thrashing_pct=ABSENT,
        max_thrashing_pct=ABSENT,
        free_swap_kb=ABSENT,
        swap_low_threshold_kb=ABSENT,
        swap_util_pct=ABSENT,
        breached=_UNBREACHED,
        reclaim=_STILL,
        file_lru_kb=ABSENT,
        direct_reclaim_ms=0,
        swap_is_low=0,
        poll_request=request,
        state=state,
    )
