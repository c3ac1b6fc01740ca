"""Who dies first: AOSP's order within and between the slots of equal oom_score_adj."""

from __future__ import annotations

from operator import itemgetter

from .config import PolicyConfig
from .numbers import AOSP_EXACT, STEADY
from .snapshot import Candidate
from .vocabulary import ABSENT, ADJ_MAX, CACHED_APP_MIN_ADJ, PERCEPTIBLE_APP_ADJ

_ADJ = itemgetter(Candidate._fields.index("adj"))
_SIZE = itemgetter(Candidate._fields.index("rss_pages"))
_AGE = itemgetter(Candidate._fields.index("age"))


def rank(candidates: tuple[Candidate, ...], min_adj: int, config: PolicyConfig) -> tuple[Candidate, ...]:
    """The candidates that may die, the one to strike first in front.

    The highest oom_score_adj first. Within one adj the one that was registered longest ago, or the largest where
    kill_heaviest_task is set or adj <= 200: there size 0 (a zombie) is left out, of equals the newest goes first
    and an unknown size comes last. Never: adj below min_adj or 0, pid 1 and below.

    STEADY puts one more in front: of the cached tier the largest, if it is relief_times as large as the next in line
    (memory and swap; where either size is unknown nobody goes first). A leak then costs one process and not all that
    are more expendable.
    """
    floor = min_adj if min_adj > 0 else 0
    # Adj up to here: the heaviest of a slot; above: the oldest.
    heaviest_adj = ADJ_MAX if config.kill_heaviest_task else PERCEPTIBLE_APP_ADJ
    old = [c for c in candidates if c.adj > heaviest_adj and c.adj >= floor and c.pid > 1]
    heavy = [c for c in candidates if floor <= c.adj <= heaviest_adj and c.pid > 1 and c.rss_pages != 0]
    # Stable sorts, the least significant key first, by keys that are fetched in C.
    old.sort(key=_AGE)
    old.sort(key=_ADJ, reverse=True)
    heavy.sort(key=_AGE, reverse=True)
    heavy.sort(key=_SIZE, reverse=True)
    heavy.sort(key=_ADJ, reverse=True)
    ranked = (*old, *heavy)
    if config.kind != STEADY or config.relief_times == 0 or not ranked:
        return ranked
    cached = [c for c in ranked if c.adj >= CACHED_APP_MIN_ADJ]
    largest = max(cached, key=size_pages, default=ranked[0])
    if not relieves(size_pages(largest), size_pages(ranked[0]), config.relief_times):
        return ranked
    return (largest, *(c for c in ranked if c is not largest))


def size_pages(candidate: Candidate) -> int:
    """Memory and swap of a process; ABSENT where its memory is unknown, 0 of a zombie."""
    if candidate.rss_pages <= 0:
        return candidate.rss_pages
    return candidate.rss_pages + max(0, candidate.swap_pages)


def relieves(pages: int, first_pages: int, times: int) -> bool:
    """Is a process of the cached tier so many times as large as the first in line that it goes before it?"""
    return 0 < times * first_pages <= pages


def may_follow(victim: Candidate, following: Candidate, error: int, rss_pages: int, config: PolicyConfig) -> bool:
    """May `following`, ranked after `victim`, be struck in the same evaluation?

    error: 0, or why striking `victim` failed; rss_pages: its size when it was struck, ABSENT if unknown.
    One strike that worked is enough. AOSP differs twice: a record found dead ends the scan with its slot (defect
    dead_ends_scan), and a victim of no whole page does not count, so the next slot loses one too (defect
    tiny_rss_second_kill).
    """
    if config.kind != AOSP_EXACT:
        return error != 0
    if error != 0:
        return following.adj == victim.adj
    return rss_pages == 0 and following.adj < victim.adj


def next_victim(victims: tuple[Candidate, ...], index: int, error: int, rss_pages: int, config: PolicyConfig) -> int:
    """Index of the victim to strike after victims[index], or ABSENT if the evaluation is over."""
    victim = victims[index]
    for i in range(index + 1, len(victims)):
        if may_follow(victim, victims[i], error, rss_pages, config):
            return i
    return ABSENT
