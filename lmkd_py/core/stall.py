"""Stall that kills can end: tasks wait while pages that were reclaimed come back, window after window.

Stall alone cannot tell thrash from growth or from a slow CPU: on a board hopeless thrash had PSI some of 21 to 33 %,
harmless growth 10 to 40 %. Refaults can: 17 % of RAM a second against 0.3 %. Where the kernel has no PSI, and in a
cgroup that has no refaults of its own (v1), no window opens; before Linux 5.9 refaults of anonymous memory are not
counted. MGLRU counted at first only pages that had gone from what is the oldest generation now, so thrash shows less;
newer kernels count all (mm/workingset.c).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig
from .growth import PAGES_PER_MS, growth
from .snapshot import Snapshot
from .vocabulary import ABSENT

STALL_WINDOW_MS: Final = 1000
PERMILLE_LIMIT: Final = 1 << 62  # broken counters saturate instead of overflowing a record
VAIN_KILLS: Final = 3  # in a row without fewer refaults; then a wait
WAIT_MIN_MS: Final = 2000
WAIT_MAX_MS: Final = 64_000


class Stall(NamedTuple):
    """The window that is open, and what the one before it was like."""

    since_ms: int  # ABSENT: none is open
    some_us: int  # the counters when it opened
    file_pages: int
    anon_pages: int
    some_pct: int  # of the window before; ABSENT: there was none
    refault_permille: int  # of RAM a second, likewise
    bad: int  # bad windows in a row


class Watched(NamedTuple):
    """The windows after an evaluation."""

    stall: Stall
    ended: bool  # a window ended with this evaluation
    lapsed: bool  # a window opened because nobody had looked for long


class Vain(NamedTuple):
    """Kills for stall in a row after which refaults went on."""

    kills: int
    refault_permille: int  # at the last of them; ABSENT: there is none
    wait_ms: int
    wait_until_ms: int


NO_STALL: Final = Stall(ABSENT, 0, ABSENT, ABSENT, ABSENT, ABSENT, 0)
NOT_VAIN: Final = Vain(0, ABSENT, 0, 0)


def watch(snapshot: Snapshot, stall: Stall, anew: bool, config: PolicyConfig) -> Watched:
    """The windows at this evaluation; `anew`: the last victim is dead, so another window begins."""
    now_ms, some_us = snapshot.now_ms, snapshot.psi_mem_some_total_us
    file_pages, anon_pages = snapshot.workingset_refault_pages, snapshot.refault_anon_pages
    # A cgroup that does not tell those of anonymous memory has the host's, which say nothing of its limit.
    if some_us < 0 or (anon_pages < 0 and snapshot.cached_kb < 0):
        return Watched(NO_STALL, False, False)
    elapsed_ms = now_ms - stall.since_ms
    open_already = not anew and stall.since_ms >= 0 and 0 <= elapsed_ms <= 2 * STALL_WINDOW_MS
    if not open_already:
        return Watched(Stall(now_ms, some_us, file_pages, anon_pages, ABSENT, ABSENT, 0), False, not anew)
    if elapsed_ms < STALL_WINDOW_MS:
        return Watched(stall, False, False)
    some_pct = growth(some_us, stall.some_us, elapsed_ms) // (10 * elapsed_ms)
    pages = growth(file_pages, stall.file_pages, elapsed_ms, PAGES_PER_MS)
    pages += growth(anon_pages, stall.anon_pages, elapsed_ms, PAGES_PER_MS)
    permille = pages * snapshot.page_kb * 1_000_000 // (elapsed_ms * max(1, snapshot.mem_total_kb))
    permille = min(permille, PERMILLE_LIMIT)
    bad = 0
    if some_pct >= config.stall_some_pct and permille >= config.stall_refault_permille:
        bad = 1
        # Where tasks go over their memory in turns, windows differ by a third; what ends by itself halves.
        if stall.bad > 0 and 2 * permille > stall.refault_permille:
            bad = min(stall.bad + 1, config.stall_windows)
    return Watched(Stall(now_ms, some_us, file_pages, anon_pages, some_pct, permille, bad), True, False)


def is_fewer(permille: int, before_permille: int) -> bool:
    """At least 20 % fewer refaults."""
    return permille * 5 <= before_permille * 4


def relieved(watched: Watched, vain: Vain) -> bool:
    """Have refaults fallen since the last kill for stall, or has nothing gone on for a while?"""
    return watched.lapsed or (watched.ended and is_fewer(watched.stall.refault_permille, vain.refault_permille))


def in_vain(at_ms: int, vain: Vain) -> Vain:
    """Somebody was struck for stall: after so many in a row the next one has to wait, twice as long each time."""
    kills = min(vain.kills + 1, VAIN_KILLS)
    if kills < VAIN_KILLS:
        return Vain(kills, vain.refault_permille, 0, 0)
    wait_ms = WAIT_MIN_MS if vain.wait_ms <= 0 else min(2 * vain.wait_ms, WAIT_MAX_MS)
    return Vain(kills, vain.refault_permille, wait_ms, at_ms + wait_ms)
