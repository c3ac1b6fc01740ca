"""What swap can still take: a counter of 0 is a number, only a missing one leaves a signal open."""

from __future__ import annotations

import pytest

from lmkd_py.core.signals import swap
from lmkd_py.core.vocabulary import ABSENT

from .values import DEFAULTS, make_snapshot

PLAIN = DEFAULTS._replace(swap_compression_ratio=0)  # free swap counts as it stands
# A quarter of 2,000,000 kB is in swap; of what can be swapped that is a third.
SHARED = {"active_anon_kb": 400_000, "inactive_anon_kb": 400_000, "shmem_kb": 200_000}


def test_the_share_in_swap_is_of_all_that_can_be_swapped() -> None:
    assert swap(make_snapshot(**SHARED), PLAIN).util_pct == 33
    assert swap(make_snapshot(**SHARED, swap_free_kb=2_000_000), PLAIN).util_pct == 0


@pytest.mark.parametrize(("counter", "util_pct"), [("active_anon_kb", 45), ("inactive_anon_kb", 45), ("shmem_kb", 38)])
def test_a_counter_of_0_is_counted_and_a_missing_one_is_not_guessed(counter: str, util_pct: int) -> None:
    assert swap(make_snapshot(**{**SHARED, counter: 0}), PLAIN).util_pct == util_pct
    assert swap(make_snapshot(**{**SHARED, counter: ABSENT}), PLAIN).util_pct == ABSENT


@pytest.mark.parametrize("counter", ["swap_total_kb", "swap_free_kb"])
def test_without_swap_counters_swap_is_never_low(counter: str) -> None:
    found = swap(make_snapshot(**{**SHARED, counter: ABSENT}), PLAIN)
    assert (found.free_kb, found.is_low, found.util_pct) == (ABSENT, False, ABSENT)
