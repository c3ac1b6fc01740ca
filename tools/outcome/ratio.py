"""Is one killer better than another? Values in, a word out."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from enum import Enum
from statistics import fmean
from typing import NamedTuple

RESAMPLES = 2000
COVERAGE = 0.95
MIN_RUNS = 3  # of each; with fewer there is no interval worth the name


class Verdict(Enum):
    """Of a cell."""

    WON = "won"
    LEVEL = "level"
    LOST = "lost"
    NONE = "too few runs"


class Interval(NamedTuple):
    """Where a ratio lies."""

    low: float
    high: float


def ratio(ours: float, theirs: float) -> float:
    """How many times theirs ours is. Nothing is 0 times anything, and something infinitely often nothing."""
    if ours == 0:
        return 0.0
    return ours / theirs if theirs else math.inf


def bootstrap(ours: Sequence[float], theirs: Sequence[float], seed: int = 1) -> Interval:
    """The 95 % bootstrap interval (percentiles) of the ratio of the means. ValueError for no or negative values."""
    if not ours or not theirs or min(*ours, *theirs) < 0:
        raise ValueError(f"found {list(ours)} and {list(theirs)}; wanted values of 0 and more of each")
    chance = random.Random(seed)
    found = sorted(
        ratio(fmean(chance.choices(ours, k=len(ours))), fmean(chance.choices(theirs, k=len(theirs))))
        for _ in range(RESAMPLES)
    )
    cut = int(RESAMPLES * (1 - COVERAGE) / 2)
    return Interval(found[cut], found[-1 - cut])


def judge(interval: Interval, bar: float) -> Verdict:
    """Won: all of the interval is at or below the bar; lost: all of it is above."""
    if interval.high <= bar:
        return Verdict.WON
    return Verdict.LOST if interval.low > bar else Verdict.LEVEL


def verdict(ours: Sequence[float], theirs: Sequence[float], bar: float, plus: float = 0.0) -> Verdict:
    """Whether ours is at most `bar` times theirs, and `plus`: so many kills more than theirs, say."""
    if min(len(ours), len(theirs)) < MIN_RUNS:
        return Verdict.NONE
    return judge(bootstrap(ours, [each + plus for each in theirs]), bar)
