"""Room is what tasks can still take: on the whole system, with and without zram, and in a cgroup."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.room import gain, room_of
from lmkd_py.core.vocabulary import ABSENT

from .steady_board import BOARD, CGROUP, MIB
from .values import STEADY, Values, make_snapshot

LOW = 1024


def kb(dying_kb: int = ABSENT, filecache_min_kb: int = 0, **changes: int) -> int:
    config = STEADY._replace(filecache_min_kb=filecache_min_kb)
    return room_of(make_snapshot(**{**BOARD, **changes}), LOW, dying_kb, config).kb


def test_free_memory_counts_above_the_low_watermark_and_cma_is_free() -> None:
    assert kb(active_file_kb=0, inactive_file_kb=0) == 2 * MIB
    assert kb(active_file_kb=0, inactive_file_kb=0, cma_free_kb=6 * MIB) == 2 * MIB
    assert kb(active_file_kb=0, inactive_file_kb=0, mem_free_kb=1 * MIB) == -3 * MIB


def test_half_of_a_small_file_cache_stays_and_of_a_large_one_the_low_watermark() -> None:
    assert kb() == (2 + 2) * MIB
    assert kb(active_file_kb=20 * MIB, inactive_file_kb=0) == (2 + 16) * MIB
    assert kb(active_file_kb=20 * MIB, inactive_file_kb=0, filecache_min_kb=15 * MIB) == (2 + 5) * MIB
    assert kb(filecache_min_kb=50 * MIB) == 2 * MIB


def test_swap_counts_as_far_as_there_is_something_to_swap() -> None:
    assert kb(swap_free_kb=10 * MIB) == (4 + 10) * MIB
    assert kb(swap_free_kb=190 * MIB) == (4 + 150) * MIB
    assert kb(swap_free_kb=190 * MIB, active_anon_kb=ABSENT) == (4 + 190) * MIB
    assert kb(swap_free_kb=ABSENT) == 4 * MIB


def test_zram_gives_what_it_was_measured_to_give() -> None:
    zram: Values = {"swap_free_kb": 30 * MIB, "zram_stored_kb": 90 * MIB, "zram_swap_kb": 192 * MIB}
    assert kb(**zram, zram_used_kb=30 * MIB) == 4 * MIB + 30 * MIB * 666 // 1000
    assert kb(**zram, zram_used_kb=90 * MIB) == 4 * MIB
    assert kb(**zram, zram_used_kb=99 * MIB) == 4 * MIB
    assert kb(**{**zram, "zram_stored_kb": 8 * MIB - 1}, zram_used_kb=100) == (4 + 15) * MIB
    assert gain(make_snapshot()) == 1000


def test_swap_of_which_nobody_knows_what_it_gives_counts_by_half() -> None:
    zram: Values = {"swap_free_kb": 30 * MIB, "zram_swap_kb": 192 * MIB}
    assert kb(**zram) == (4 + 15) * MIB  # mm_stat cannot be read
    assert kb(swap_free_kb=30 * MIB, zram_swap_kb=ABSENT) == (4 + 15) * MIB  # an area came or went


def test_of_mixed_swap_the_part_on_zram_takes_memory_and_the_rest_does_not() -> None:
    zram: Values = {"zram_stored_kb": 52 * MIB, "zram_used_kb": 26 * MIB, "zram_swap_kb": 92 * MIB}
    assert kb(**zram, swap_free_kb=140 * MIB) == (4 + 20 + 100) * MIB
    assert kb(**zram, swap_free_kb=30 * MIB) == (4 + 15) * MIB
    assert kb(**{**zram, "zram_stored_kb": 92 * MIB}, swap_free_kb=30 * MIB) == (4 + 30) * MIB


def test_a_zram_that_may_take_no_more_memory_is_full_whatever_is_free_of_it() -> None:
    zram: Values = {"zram_stored_kb": 90 * MIB, "zram_used_kb": 30 * MIB, "swap_free_kb": 102 * MIB}
    zram["zram_swap_kb"] = 192 * MIB
    assert kb(**zram, zram_limit_kb=30 * MIB) == 4 * MIB
    assert kb(**zram, zram_limit_kb=29 * MIB) == 4 * MIB
    assert kb(**zram, zram_limit_kb=40 * MIB) == 4 * MIB + (10 * MIB * 1000 // 334) * 666 // 1000
    assert kb(**zram, zram_limit_kb=90 * MIB) == kb(**zram)
    within = {**CGROUP, **zram, "zram_limit_kb": 30 * MIB}
    assert room_of(make_snapshot(**within), LOW, ABSENT, STEADY).swap_kb == 0


def test_a_cgroups_free_memory_contains_its_file_cache_and_a_page_in_zram_is_not_charged() -> None:
    zram: Values = {"swap_free_kb": 30 * MIB, "zram_stored_kb": 90 * MIB, "zram_used_kb": 90 * MIB}
    zram["zram_swap_kb"] = 192 * MIB
    room = room_of(make_snapshot(**{**CGROUP, **zram}), LOW, ABSENT, STEADY)
    assert (room.free_kb, room.file_kb, room.swap_kb) == (-2 * MIB, 4 * MIB, 30 * MIB)
    assert room.unused_kb == 2 * MIB
    kept = room_of(make_snapshot(**CGROUP), LOW, ABSENT, STEADY._replace(filecache_min_kb=3 * MIB))
    assert kept.kb == -2 * MIB + 1 * MIB


def test_a_death_under_way_counts_and_missing_watermarks_do_not() -> None:
    assert kb(dying_kb=7 * MIB) == 11 * MIB
    assert room_of(make_snapshot(**BOARD), ABSENT, ABSENT, STEADY).free_kb == 6 * MIB


def test_the_reserve_is_a_share_of_ram_and_swap() -> None:
    assert room_of(make_snapshot(**BOARD), LOW, ABSENT, STEADY).reserve_kb == 448 * MIB * 15 // 1000
    assert room_of(make_snapshot(**{**BOARD, "swap_total_kb": ABSENT}), LOW, ABSENT, STEADY).reserve_kb == 3932


ZRAM = ("zram_stored_kb", "zram_used_kb", "zram_swap_kb", "zram_limit_kb")


@given(st.dictionaries(st.sampled_from([*BOARD, *ZRAM]), st.integers(-1, 2**40)))
def test_no_part_but_the_free_one_is_below_zero_and_the_sum_is_right(changes: dict[str, int]) -> None:
    snapshot = make_snapshot(**{**BOARD, **changes, "mem_free_kb": max(0, changes.get("mem_free_kb", 0))})
    room = room_of(snapshot, LOW, ABSENT, STEADY)
    assert room.swap_kb <= max(0, snapshot.swap_free_kb)
    assert min(room.file_kb, room.swap_kb, room.dying_kb, room.gain_permille) >= 0
    assert room.kb == room.free_kb + room.file_kb + room.swap_kb + room.dying_kb
    assert room.free_kb + room.file_kb <= snapshot.mem_free_kb + max(0, snapshot.active_file_kb) + max(
        0, snapshot.inactive_file_kb
    )
