"""The ends of an evaluation: the state that the next one starts from, and a judgement without AOSP's measures."""

from __future__ import annotations

from .decision import Judgement
from .measured import Seen
from .numbers import NO_MARK
from .reclaim import Reclaim
from .ruling import Ruling
from .settle import Settled
from .state import PolicyState
from .steady import Memory
from .thrashing import Window
from .vocabulary import ABSENT
from .watermarks import Marks


def unseen(state: PolicyState, settled: Settled, marks: Marks) -> Seen:
    """Nothing was measured, and the window over thrashing stays as it is."""
    window = Window(
        state.prev_growth_pct,
        state.base_file_lru_pages,
        state.init_refault_pages,
        state.window_start_ms,
        settled.limit_pct,
    )
    return Seen(ABSENT, settled.max_thrashing_pct, window, marks, 0, NO_MARK)


def empty(ruling: Ruling, reclaim: Reclaim, poll_request: int, state: PolicyState) -> Judgement:
    """A judgement without the measures of AOSP's policy."""
    return Judgement(
        ruling.action,
        ruling.reason,
        ruling.min_adj,
        ABSENT,
        ABSENT,
        ABSENT,
        ABSENT,
        ABSENT,
        NO_MARK,
        reclaim.by,
        ABSENT,
        reclaim.direct_ms,
        0,
        poll_request,
        state,
    )


def remembered(
    started: int,
    killed_last: int,
    struck_ms: int,
    level_filter: int,
    last_refault_pages: int,
    refault_fell: int,
    counted_ms: int,
    reclaim: Reclaim,
    seen: Seen,
    ruling: Ruling,
    memory: Memory,
) -> PolicyState:
    """The state that the next evaluation starts from."""
    window, marks, effects = seen.window, ruling.marks, ruling.effects
    stall, vain = memory.stall, memory.vain
    return PolicyState(
        started,
        killed_last,
        struck_ms,
        ruling.cut_limit_pct,
        level_filter,
        window.limit_pct,
        window.growth_pct,
        window.base_file_lru_pages,
        window.init_refault_pages,
        last_refault_pages,
        window.start_ms,
        seen.max_thrashing_pct,
        ruling.check_filecache,
        reclaim.kswapd_progress,
        reclaim.direct_progress,
        reclaim.refill_progress,
        reclaim.hangs,
        marks.min_pages,
        marks.low_pages,
        marks.high_pages,
        marks.taken_ms,
        ruling.first_kill_done,
        reclaim.direct_since_ms,
        counted_ms,
        refault_fell,
        effects.victim_kb,
        effects.victim_free_kb,
        effects.victim_dead_ms,
        effects.futile_kills,
        effects.futile_kb,
        effects.futile_free_kb,
        effects.hold_ms,
        effects.held_until_ms,
        memory.dying_kb,
        memory.stuck_since_ms,
        memory.hung_ms,
        stall.since_ms,
        stall.some_us,
        stall.file_pages,
        stall.anon_pages,
        stall.some_pct,
        stall.refault_permille,
        stall.bad,
        memory.stall_verdict,
        vain.kills,
        vain.refault_permille,
        vain.wait_ms,
        vain.wait_until_ms,
    )
