"""What the last strike came to, and evaluations that end before anything is measured."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig, kill_timeout_ms
from .futile import Effects, known_effects, paces, struck
from .numbers import AOSP_EXACT, EVENT, IGNORED, LOW_LEVEL, NOTHING, PENDING, POLL, STEADY, UNREADABLE, ZONEINFO
from .snapshot import Snapshot
from .state import PolicyState
from .steady import NO_MEMORY, Memory, after_strike, memory_of
from .wakeup import Wakeup


class Settled(NamedTuple):
    """What became of the last decision."""

    killed_last: int
    struck_ms: int
    max_thrashing_pct: int
    limit_pct: int  # the thrashing limit; ABSENT: the configured one
    effects: Effects
    memory: Memory


def settle(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Settled:
    """What became of the last decision, by its outcome."""
    outcome = snapshot.outcome
    effects, memory = known_effects(state), NO_MEMORY  # what STEADY noted before another policy is out of date
    if config.kind == STEADY:
        memory = after_strike(outcome, snapshot.page_kb, memory_of(state))
    limit_pct = state.thrashing_limit_pct
    if outcome.pid <= 0:
        return Settled(state.killed_last, state.struck_ms, state.max_thrashing_pct, limit_pct, effects, memory)
    if outcome.rss_pages == 0 and config.kind == AOSP_EXACT:
        # To AOSP a victim without one whole page is no kill (defect tiny_rss_second_kill).
        return Settled(state.killed_last, outcome.at_ms, state.max_thrashing_pct, limit_pct, effects, memory)
    if paces(config):
        effects = struck(outcome, snapshot.page_kb, effects)
    if state.cut_limit_pct >= 0:
        limit_pct = state.cut_limit_pct
    return Settled(1, outcome.at_ms, 0, limit_pct, effects, memory)


def ends_early(wakeup: Wakeup, snapshot: Snapshot, state: PolicyState, settled: Settled, config: PolicyConfig) -> int:
    """The action of an evaluation that ends before anything is measured; 0: it does not."""
    by_level = wakeup.kind == EVENT and config.kind != STEADY
    if by_level and wakeup.level < state.level_filter:
        return IGNORED
    if wakeup.kind == ZONEINFO:
        return NOTHING
    timeout_ms = kill_timeout_ms(config)
    waits = timeout_ms == 0 or snapshot.now_ms - settled.struck_ms < timeout_ms
    if snapshot.victim_alive > 0 and waits:
        return PENDING
    if by_level and wakeup.level <= LOW_LEVEL:
        return NOTHING
    if snapshot.mem_free_kb < 0 or snapshot.page_kb < 1:
        return UNREADABLE
    return 0


def filtered(wakeup: Wakeup, state: PolicyState, config: PolicyConfig) -> int:
    """The level below which the next event is ignored: the last event's, until a poll resets it. STEADY has none."""
    if wakeup.kind == POLL or config.kind == STEADY:
        return LOW_LEVEL
    return max(wakeup.level, state.level_filter) if wakeup.kind == EVENT else state.level_filter
