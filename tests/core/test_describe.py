"""AOSP's words, to the letter. (The recorded corpus holds each of them too.)"""

from __future__ import annotations

import pytest

from lmkd_py.core.decide import judge
from lmkd_py.core.describe import describe
from lmkd_py.core.state import INITIAL
from lmkd_py.core.vocabulary import Action, Watermark

from .values import DEFAULTS, make_snapshot

CONFIG = DEFAULTS._replace(swap_util_max_pct=50, direct_reclaim_threshold_ms=100, filecache_min_kb=300)
KILL = judge(make_snapshot(mem_free_kb=36_000), INITIAL, CONFIG)._replace(
    free_swap_kb=10,
    swap_low_threshold_kb=20,
    thrashing_pct=120,
    swap_util_pct=60,
    file_lru_kb=250,
    direct_reclaim_ms=170,
)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (0, "min watermark is breached even after kill"),
        (1, "device is not responding"),
        (2, "device is low on swap (10kB < 20kB) and thrashing (120%)"),
        (3, "low watermark is breached and swap is low (10kB < 20kB)"),
        (4, "low watermark is breached and thrashing (120%)"),
        (5, "device is in direct reclaim and thrashing (120%)"),
        (6, "low watermark is breached and swap utilization is high (60% > 50%)"),
        (7, "filecache is low (250kB < 300kB) after thrashing"),
        (8, "low watermark is breached"),
        (9, "device is stuck in direct reclaim (170ms > 100ms)"),
        (1007, "vendor kill with the reason 1007, min_score_adj 900"),
    ],
)
def test_each_reason_has_its_words(reason: int, words: str) -> None:
    snapshot = make_snapshot(vendor_min_adj=900)
    assert describe(KILL._replace(reason=reason), snapshot, CONFIG) == words
    below_min = describe(KILL._replace(reason=reason, breached=Watermark.MIN), snapshot, CONFIG)
    assert below_min == words.replace("low watermark", "min watermark")


def test_without_a_verdict_there_is_nothing_to_say() -> None:
    assert describe(KILL._replace(action=Action.NONE), make_snapshot(), CONFIG) == ""
