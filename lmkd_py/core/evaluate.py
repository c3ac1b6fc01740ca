"""One full evaluation: from a readable snapshot to a judgement, in AOSP's order of steps.

The large tuples are built by position: by keyword they cost as much as the rest of the evaluation.
"""

from __future__ import annotations

from . import signals as derive
from .config import PolicyConfig
from .decision import Judgement
from .polling import Request
from .ruling import Ruling, rule
from .signals import Reclaim, Signals
from .snapshot import Snapshot
from .state import PolicyState
from .thrashing import Window, measure
from .vocabulary import ABSENT, Action, Compat, KillReason, ReclaimState, WakeupKind, Watermark
from .watermarks import breached, cached, free_pages, taken, watermarks_due

# Plain ints: comparing IntEnum members costs a call each.
_EVENT = int(WakeupKind.EVENT)
_VENDOR = int(WakeupKind.VENDOR)
_NO_RECLAIM = int(ReclaimState.NONE)
_DIRECT = int(ReclaimState.DIRECT)
_UNBREACHED = int(Watermark.NONE)
_AOSP = int(Compat.AOSP)
_BAIL = int(Action.BAIL)
_NONE = int(Action.NONE)
_KILL = int(Action.KILL)
_INVALID = int(Action.INVALID)
_NO_REASON = int(KillReason.NONE)
_VENDOR_REASON_MAX = 999
_VENDOR_REASON_MAX_AOSP = 1999  # defect vendor_reason_range


def evaluate(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Judgement:
    """Derive the signals, climb the ladder. `state` is settled; MemFree and the page size are there."""
    kind = snapshot.kind
    page_kb = snapshot.page_kb
    refault = snapshot.workingset_refault_pages
    file_lru = derive.file_lru_pages(snapshot)

    free_swap, swap_threshold, swap_util_pct = derive.swap(snapshot, config)
    swap_is_low = 1 if ABSENT < free_swap < swap_threshold else 0
    reclaim = derive.reclaim(snapshot, state, config)
    # Nothing reclaimed and nothing read back: whatever the free memory, nobody needs more. A vendor knows better.
    still = reclaim.state == _NO_RECLAIM and kind != _VENDOR and derive.refaults_stand_still(snapshot, state)
    window = _window(snapshot, file_lru, still, state, config)
    marks = cached(state)
    max_thrashing_pct = state.max_thrashing_pct
    below = _UNBREACHED
    if not still:
        if refault >= 0 and file_lru >= 0:
            window = measure(snapshot.now_ms, refault, file_lru, window, config)
            if window.pct > max_thrashing_pct:
                max_thrashing_pct = window.pct
        if watermarks_due(state, snapshot.now_ms, snapshot.memevents):
            marks = taken(snapshot, marks)
        below = breached(free_pages(snapshot), marks)

    signals = Signals(
        kind,
        snapshot.level,
        free_swap * page_kb if free_swap >= 0 else ABSENT,  # free_swap_kb
        swap_threshold * page_kb,  # swap_low_threshold_kb
        swap_is_low,
        swap_util_pct,
        reclaim.state,
        reclaim.direct_ms,  # direct_reclaim_ms
        window.pct,  # thrashing_pct
        window.limit_pct,  # thrashing_limit_pct
        file_lru * page_kb if file_lru >= 0 else ABSENT,  # file_lru_kb
        below,  # breached
        state.killed_last,  # cycle_after_kill
        state.check_filecache,
        snapshot.vendor_reason,
        snapshot.vendor_min_adj,
    )

    ruling = Ruling(None, below, False, state.check_filecache, marks, state.first_kill_done)
    action = _NONE
    if still:
        action = _BAIL
    elif kind == _VENDOR and not _vendor_may(snapshot, config):
        action = _INVALID
    else:
        ruling = rule(signals, marks, snapshot, state.first_kill_done, config)
        if ruling.verdict is not None:
            action = _KILL
    return _judgement(action, signals, ruling, window, reclaim, max_thrashing_pct, snapshot, state, config)


def _judgement(
    action: int,
    signals: Signals,
    ruling: Ruling,
    window: Window,
    reclaim: Reclaim,
    max_thrashing_pct: int,
    snapshot: Snapshot,
    state: PolicyState,
    config: PolicyConfig,
) -> Judgement:
    """Put the pieces together: the verdict's floor, the poll request and the next state."""
    verdict = ruling.verdict
    reason = _NO_REASON
    min_adj = ABSENT
    cut_limit_pct = ABSENT
    if verdict is not None:
        reason = int(verdict.reason)
        # Every task stalls: better a perceptible app than a hang.
        stalls = snapshot.psi_mem_full_avg10_centi_pct > config.stall_limit_critical_pct * 100
        min_adj = 0 if stalls else verdict.min_adj
        if ruling.cuts_limit:
            cut_limit_pct = window.limit_pct * (100 - config.thrashing_limit_decay_pct) // 100
    request = Request.KEEP
    if action != _INVALID:
        request = Request.FAST if signals.swap_is_low else Request.SLOW
        if signals.kind == _EVENT or signals.reclaim == _DIRECT:
            request |= Request.START
    refault = snapshot.workingset_refault_pages
    marks = ruling.marks
    return Judgement(
        action,
        reason,
        min_adj,
        signals.thrashing_pct,
        max_thrashing_pct,
        signals.free_swap_kb,
        signals.swap_low_threshold_kb,
        signals.swap_util_pct,
        ruling.breached,
        signals.reclaim,
        signals.file_lru_kb,
        signals.direct_reclaim_ms,
        signals.swap_is_low,
        request,  # poll_request
        PolicyState(
            1 if action != _BAIL and refault >= 0 and signals.file_lru_kb >= 0 else state.started,
            0,  # killed_last
            state.struck_ms,
            cut_limit_pct,
            state.level_filter,
            window.limit_pct,  # thrashing_limit_pct
            window.growth_pct,  # prev_growth_pct
            window.base_file_lru_pages,
            window.init_refault_pages,
            refault if refault >= 0 else state.last_refault_pages,
            window.start_ms,  # window_start_ms
            max_thrashing_pct,
            ruling.check_filecache,
            reclaim.pgscan_kswapd_pages,
            reclaim.pgscan_direct_pages,
            reclaim.pgrefill_pages,
            marks.min_pages,  # watermark_min_pages
            marks.low_pages,  # watermark_low_pages
            marks.high_pages,  # watermark_high_pages
            marks.taken_ms,  # watermarks_ms
            ruling.first_kill_done,
            reclaim.direct_since_ms,
        ),
    )


def _window(snapshot: Snapshot, file_lru: int, still: bool, state: PolicyState, config: PolicyConfig) -> Window:
    """The thrashing window before it is measured: begun anew after a kill, and at improved's first measurement."""
    refault = snapshot.workingset_refault_pages
    limit_pct = state.thrashing_limit_pct if state.thrashing_limit_pct >= 0 else config.thrashing_limit_pct
    # AOSP takes all refaults since boot for growth of the first second (defect first_eval_growth).
    anew = state.killed_last or not (still or state.started or config.compat == _AOSP)
    if anew and refault >= 0 and file_lru >= 0:
        return Window(0, 0, file_lru, refault, snapshot.now_ms, limit_pct)
    return Window(
        0,
        state.prev_growth_pct,
        state.base_file_lru_pages,
        state.init_refault_pages,
        state.window_start_ms,
        limit_pct,
    )


def _vendor_may(snapshot: Snapshot, config: PolicyConfig) -> bool:
    highest = _VENDOR_REASON_MAX_AOSP if config.compat == _AOSP else _VENDOR_REASON_MAX
    return 0 <= snapshot.vendor_reason <= highest and snapshot.vendor_min_adj >= 0
