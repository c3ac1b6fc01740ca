"""Who dies first: AOSP's order within and between the slots of equal oom_score_adj."""

from __future__ import annotations

from operator import itemgetter

from .config import PolicyConfig
from .snapshot import Candidate
from .vocabulary import ABSENT, ADJ_MAX, PERCEPTIBLE_APP_ADJ, Compat

_ADJ = itemgetter(Candidate._fields.index("adj"))
_SIZE = itemgetter(Candidate._fields.index("rss_pages"))
_AGE = itemgetter(Candidate._fields.index("age"))
_AOSP = int(Compat.AOSP)


def rank(candidates: tuple[Candidate, ...], min_adj: int, config: PolicyConfig) -> tuple[Candidate, ...]:
    """The candidates that may die, the one to strike first in front.

    The highest oom_score_adj first. Within one adj the one that was registered longest ago, or the largest where
    kill_heaviest_task is set or adj <= 200: there size 0 (a zombie) is left out, of equals the newest goes first
    and an unknown size comes last. Never: adj below min_adj or 0, pid 1 and below.
    """
    floor = min_adj if min_adj > 0 else 0
    # Adj up to here: the heaviest of a slot; above: the oldest.
    heaviest_adj = ADJ_MAX if config.kill_heaviest_task else PERCEPTIBLE_APP_ADJ
    old = [c for c in candidates if c[2] > heaviest_adj and c[2] >= floor and c[0] > 1]
    heavy = [c for c in candidates if floor <= c[2] <= heaviest_adj and c[0] > 1 and c[3] != 0]
    # Stable sorts, the least significant key first, by keys that are fetched in C.
    old.sort(key=_AGE)
    old.sort(key=_ADJ, reverse=True)
    heavy.sort(key=_AGE, reverse=True)
    heavy.sort(key=_SIZE, reverse=True)
    heavy.sort(key=_ADJ, reverse=True)
    return (*old, *heavy)


def may_follow(victim: Candidate, following: Candidate, error: int, rss_pages: int, config: PolicyConfig) -> bool:
    """May `following`, ranked after `victim`, be struck in the same evaluation?

    error: 0, or why striking `victim` failed; rss_pages: its size when it was struck, ABSENT if unknown.
    One strike that worked is enough. AOSP differs twice: a record found dead ends the scan with its slot (defect
    dead_ends_scan), and a victim of no whole page does not count, so the next slot loses one too (defect
    tiny_rss_second_kill).
    """
    if config.compat != _AOSP:
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
