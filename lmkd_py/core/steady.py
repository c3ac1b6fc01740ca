"""The policy STEADY: nobody dies while there is room, unless what is left comes and goes faster than tasks can use it.

An event only wakes the killer; its level is no input. All is judged anew after each death.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig, kill_timeout_ms
from .futile import KB_LIMIT, Effects, look, paces, pause
from .need import Need, exhausted, stalled
from .numbers import EXHAUSTED, HELD, KILL, NO_REASON, NOTHING, STALLED
from .room import room_of
from .snapshot import REAPED, Outcome, Snapshot
from .stall import NO_STALL, NOT_VAIN, Stall, Vain, Watched, in_vain, relieved, watch
from .state import PolicyState
from .vocabulary import ABSENT
from .watermarks import Marks, cached_marks, fresh_marks

# Times the high watermark. kswapd reclaims up to 2.5 times as much while watermarks are boosted (boost_watermark() in
# mm/page_alloc.c); on a board where tasks thrashed 2.0 to 2.5 times as much was free at most looks.
AMPLE: Final = 3
HANG_MS: Final = 1000  # so long a domain counts as hanging that was found so; the killer looks ten times meanwhile


class Memory(NamedTuple):
    """What STEADY remembers; PolicyState has the same fields and says what they are."""

    dying_kb: int
    stuck_since_ms: int
    hung_ms: int
    stall_verdict: int
    stall: Stall
    vain: Vain


class Steady(NamedTuple):
    """What an evaluation comes to."""

    action: int
    reason: int
    min_adj: int
    need: Need
    marks: Marks
    effects: Effects
    memory: Memory


NO_MEMORY: Final = Memory(ABSENT, ABSENT, ABSENT, 0, NO_STALL, NOT_VAIN)


def memory_of(state: PolicyState) -> Memory:
    """What the evaluations before this one noted."""
    return Memory(
        state.dying_kb,
        state.stuck_since_ms,
        state.hung_ms,
        state.stall_verdict,
        Stall(
            state.stall_since_ms,
            state.stall_some_us,
            state.stall_file_pages,
            state.stall_anon_pages,
            state.stall_pct,
            state.stall_refault_permille,
            state.stall_windows,
        ),
        Vain(state.stall_kills, state.stall_kill_permille, state.stall_wait_ms, state.stall_wait_until_ms),
    )


def after_strike(outcome: Outcome, page_kb: int, memory: Memory) -> Memory:
    """The memory once it is known what became of the last verdict: a strike is a death under way."""
    if outcome.pid <= 0:
        return Memory(memory.dying_kb, memory.stuck_since_ms, memory.hung_ms, 0, memory.stall, memory.vain)
    vain = in_vain(outcome.at_ms, memory.vain) if memory.stall_verdict != 0 else memory.vain
    pages = max(0, outcome.rss_pages) - max(0, outcome.shared_pages)
    dying_kb = (max(0, pages) + max(0, outcome.swap_pages)) * max(0, page_kb)
    return Memory(min(dying_kb, KB_LIMIT), ABSENT, ABSENT, 0, NO_STALL, vain)


def steady(
    snapshot: Snapshot,
    state: PolicyState,
    struck_ms: int,
    hangs: bool,
    memory: Memory,
    effects: Effects,
    config: PolicyConfig,
) -> Steady:
    """The verdict on a snapshot that can be measured.

    `struck_ms`: when the last victim was struck; `hangs`: all tasks of the domain were found to wait in vain.
    """
    marks = fresh_marks(cached_marks(state), snapshot, config)
    if paces(config):
        effects = look(snapshot, effects, config)
    # A victim that is dead or reaped has given back what it had; one that is neither after twice the timeout is not
    # counted on.
    over = snapshot.victim_alive <= 0 or snapshot.victim_alive == REAPED
    over = over or snapshot.now_ms - struck_ms >= 2 * kill_timeout_ms(config)
    ends = memory.dying_kb >= 0 and over
    dying_kb = ABSENT if ends else memory.dying_kb
    watched = Watched(NO_STALL, False, False)
    if dying_kb < 0:
        watched = watch(snapshot, memory.stall, ends, config)
    vain = NOT_VAIN if relieved(watched, memory.vain) else memory.vain
    hung_ms = snapshot.now_ms if hangs else memory.hung_ms
    hung = hung_ms >= 0 and 0 <= snapshot.now_ms - hung_ms < HANG_MS
    # A search in which nobody looked for as long as it takes in all has not gone on.
    gone_on = snapshot.now_ms - state.counted_ms < config.stuck_ms
    stuck_since_ms = memory.stuck_since_ms if gone_on else ABSENT
    need = _need(snapshot, marks, dying_kb, hung, stuck_since_ms, watched, config)
    verdict = exhausted(need, config)
    if verdict.reason == NO_REASON:
        verdict = stalled(need, config)
    reason, min_adj, action = verdict.reason, verdict.min_adj, NOTHING
    searched_since_ms, stall_verdict, stall = ABSENT, 0, watched.stall
    if reason != NO_REASON:
        action = KILL
        if paces(config):
            held = pause(snapshot, effects, config)
            effects = held.effects
            if held.is_on:
                action = HELD
        if reason == STALLED:
            stall = _asked_again(stall, config)
            if snapshot.now_ms < vain.wait_until_ms:
                action = HELD
    if action == HELD:
        min_adj = ABSENT
    elif reason == STALLED:
        stall_verdict = 1
        vain = Vain(vain.kills, stall.refault_permille, vain.wait_ms, vain.wait_until_ms)
    elif reason == EXHAUSTED:
        searched_since_ms = stuck_since_ms if stuck_since_ms >= 0 else snapshot.now_ms
    remembered = Memory(dying_kb, searched_since_ms, hung_ms, stall_verdict, stall, vain)
    return Steady(action, reason, min_adj, need, marks, effects, remembered)


def is_near(need: Need) -> bool:
    """Is room within half a reserve of the limit, or below it?"""
    room = need.room
    return room.kb < room.reserve_kb + room.reserve_kb // 2


def goes_on(steady: Steady, config: PolicyConfig) -> bool:
    """Is somebody to look again though nothing wakes us: for the next window, or until everybody may be struck?"""
    searches = steady.reason == EXHAUSTED and steady.need.stuck_ms <= config.stuck_ms
    return steady.memory.stall.bad > 0 or searches


def _need(
    snapshot: Snapshot,
    marks: Marks,
    dying_kb: int,
    hung: bool,
    stuck_since_ms: int,
    watched: Watched,
    config: PolicyConfig,
) -> Need:
    room = room_of(snapshot, marks.low_pages, dying_kb, config)
    return Need(
        room,
        hung,
        # Where there are no watermarks free memory is never ample.
        AMPLE * marks.high_pages * snapshot.page_kb if marks.high_pages > 0 else room.unused_kb + 1,
        snapshot.now_ms - stuck_since_ms if stuck_since_ms >= 0 else 0,
        watched.ended,
        watched.stall.some_pct,
        watched.stall.refault_permille,
        watched.stall.bad,
    )


def _asked_again(stall: Stall, config: PolicyConfig) -> Stall:
    # Where the verdict finds nobody, or has to wait, the next bad window speaks again.
    return Stall(
        stall.since_ms,
        stall.some_us,
        stall.file_pages,
        stall.anon_pages,
        stall.some_pct,
        stall.refault_permille,
        config.stall_windows - 1,
    )
