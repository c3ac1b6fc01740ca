"""Kills that free nothing: the memory is held by something no death gives back (tmpfs, dmabuf, pinned pages).

A kill freed nothing if free memory and free swap have not grown by a quarter of what the victim had, within
kill_timeout_ms after its death, or by the time the next one would be struck. After some in a row nobody is killed for a
while, twice as long each time.

A victim that had a quarter for itself alone gave that back for certain, whoever has taken it since: under a growing hog
free memory need not grow at all. It is no futile kill and ends the row. (Pages a fork still shares count as its own.)
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig, kill_timeout_ms
from .numbers import AOSP_EXACT
from .snapshot import Outcome, Snapshot
from .state import PolicyState
from .vocabulary import ABSENT

SHARE: Final = 4  # a quarter
HOLD_MIN_MS: Final = 1000
HOLD_MAX_MS: Final = 64_000
KB_LIMIT: Final = 1 << 62  # broken counters saturate instead of overflowing a record


class Effects(NamedTuple):
    """What the last kills freed so far. PolicyState has the same fields and says what they are."""

    victim_kb: int
    victim_free_kb: int
    victim_dead_ms: int
    futile_kills: int
    futile_kb: int
    futile_free_kb: int
    hold_ms: int
    held_until_ms: int


class Pause(NamedTuple):
    """Whether nobody is to be struck for now."""

    is_on: bool
    effects: Effects


def known_effects(state: PolicyState) -> Effects:
    """What the evaluations before this one saw."""
    return Effects(
        state.victim_kb,
        state.victim_free_kb,
        state.victim_dead_ms,
        state.futile_kills,
        state.futile_kb,
        state.futile_free_kb,
        state.hold_ms,
        state.held_until_ms,
    )


def paces(config: PolicyConfig) -> bool:
    """Whether kills pause after several that freed nothing; under AOSP_EXACT they never do."""
    return config.kind != AOSP_EXACT and config.futile_kills_max != 0


def held_until_ms(state: PolicyState) -> int:
    """When the pause is over that holds kills back, of either kind; 0: there has been none."""
    return max(state.held_until_ms, state.stall_wait_until_ms)


def free_kb(snapshot: Snapshot) -> int:
    """Free memory and free swap: what a death adds to."""
    return snapshot.mem_free_kb + snapshot.swap_free_kb if snapshot.swap_free_kb > 0 else snapshot.mem_free_kb


def struck(outcome: Outcome, page_kb: int, effects: Effects) -> Effects:
    """A victim was struck, and its effect is awaited from now on. One of unknown size has none."""
    if outcome.rss_pages <= 0:
        return effects
    pages = outcome.rss_pages + outcome.swap_pages if outcome.swap_pages > 0 else outcome.rss_pages
    if outcome.shared_pages >= 0 and (pages - outcome.shared_pages) * SHARE >= pages:
        return Effects(0, effects.victim_free_kb, ABSENT, 0, 0, 0, 0, 0)
    return Effects(
        min(pages * page_kb, KB_LIMIT),
        effects.victim_free_kb,
        ABSENT,
        effects.futile_kills,
        effects.futile_kb,
        effects.futile_free_kb,
        effects.hold_ms,
        effects.held_until_ms,
    )


def look(snapshot: Snapshot, effects: Effects, config: PolicyConfig) -> Effects:
    """What this evaluation says of the last victim and of those before it."""
    if effects.victim_kb == 0 and effects.futile_kills == 0:
        return effects
    now_ms, free = snapshot.now_ms, free_kb(snapshot)
    freed_all = effects.futile_kills > 0 and (free - effects.futile_free_kb) * SHARE >= effects.futile_kb
    freed_last = effects.victim_kb > 0 and (free - effects.victim_free_kb) * SHARE >= effects.victim_kb
    if freed_all or freed_last:
        awaited_kb = 0 if freed_last else effects.victim_kb
        return Effects(awaited_kb, effects.victim_free_kb, effects.victim_dead_ms, 0, 0, 0, 0, 0)
    if effects.victim_kb <= 0 or snapshot.victim_alive > 0:
        return effects
    dead_ms = effects.victim_dead_ms if effects.victim_dead_ms >= 0 else now_ms
    seen = Effects(
        effects.victim_kb,
        effects.victim_free_kb,
        dead_ms,
        effects.futile_kills,
        effects.futile_kb,
        effects.futile_free_kb,
        effects.hold_ms,
        effects.held_until_ms,
    )
    return _count(now_ms, seen, config) if now_ms - dead_ms >= kill_timeout_ms(config) else seen


def pause(snapshot: Snapshot, effects: Effects, config: PolicyConfig) -> Pause:
    """Somebody is to be struck: whoever was struck before is judged now."""
    if effects.victim_kb > 0:
        effects = _count(snapshot.now_ms, effects, config)
    if snapshot.now_ms < effects.held_until_ms:
        return Pause(True, effects)
    return Pause(
        False,
        Effects(
            effects.victim_kb,
            free_kb(snapshot),
            effects.victim_dead_ms,
            effects.futile_kills,
            effects.futile_kb,
            effects.futile_free_kb,
            effects.hold_ms,
            effects.held_until_ms,
        ),
    )


def _count(now_ms: int, effects: Effects, config: PolicyConfig) -> Effects:
    # One that is not dead is neither futile nor useful.
    kills, kills_kb, kills_free_kb = effects.futile_kills, effects.futile_kb, effects.futile_free_kb
    hold_ms, held_until_ms = effects.hold_ms, effects.held_until_ms
    if effects.victim_dead_ms >= 0:
        if kills == 0:
            kills_free_kb = effects.victim_free_kb
        kills += 1
        kills_kb = min(kills_kb + effects.victim_kb, KB_LIMIT)
        if kills >= config.futile_kills_max:
            hold_ms = HOLD_MIN_MS if hold_ms <= 0 else min(2 * hold_ms, HOLD_MAX_MS)
            held_until_ms = now_ms + hold_ms
    return Effects(0, effects.victim_free_kb, ABSENT, kills, kills_kb, kills_free_kb, hold_ms, held_until_ms)
