"""Who dies first, and who dies next when a strike fails."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.snapshot import Candidate
from lmkd_py.core.victims import may_follow, next_victim, rank, size_pages
from lmkd_py.core.vocabulary import ABSENT

from .values import AOSP, DEFAULTS, STEADY, make_candidate

HEAVY = DEFAULTS._replace(kill_heaviest_task=1)
ESRCH = -3


def pids(*candidates: Candidate, min_adj: int = 0, config: PolicyConfig = DEFAULTS) -> list[int]:
    return [victim.pid for victim in rank(candidates, min_adj, config)]


def test_the_most_expendable_tier_goes_first() -> None:
    assert pids(make_candidate(10, 700), make_candidate(11, 950), make_candidate(12, 900)) == [11, 12, 10]


def test_within_a_tier_the_one_registered_longest_ago_goes_first_whatever_its_size() -> None:
    young, old = make_candidate(10, 900, 9999, age=7), make_candidate(11, 900, 1, age=3)
    assert pids(young, old) == [11, 10]


def test_from_perceptible_down_the_largest_goes_first() -> None:
    small, large = make_candidate(10, 200, 100, age=1), make_candidate(11, 200, 900, age=2)
    assert pids(small, large) == [11, 10]
    above = [candidate._replace(adj=201) for candidate in (small, large)]
    assert pids(*above) == [10, 11]
    assert pids(*above, config=HEAVY) == [11, 10]


def test_of_equal_size_the_newest_goes_first_and_an_unknown_size_last() -> None:
    assert pids(
        make_candidate(10, 100, 500, age=1), make_candidate(11, 100, ABSENT, age=9), make_candidate(12, 100, 500, age=2)
    ) == [12, 10, 11]


def test_where_sizes_matter_a_zombie_is_left_out() -> None:
    assert pids(make_candidate(10, 100, 0), make_candidate(11, 100, 5)) == [11]
    assert pids(make_candidate(10, 900, 0)) == [10]
    assert pids(make_candidate(10, 900, 0), config=HEAVY) == []


def test_never_below_the_floor_nor_below_zero_nor_init() -> None:
    everybody = [make_candidate(10, 0), make_candidate(11, -1), make_candidate(12, -1000), make_candidate(1, 999)]
    assert pids(*everybody) == [10]
    assert pids(*everybody, min_adj=-1000) == [10]
    assert pids(*everybody, make_candidate(13, 200), make_candidate(14, 201), min_adj=201) == [14]


def test_a_floor_of_1001_reaches_nobody() -> None:
    assert pids(make_candidate(10, 1000), min_adj=1001) == []


SLOT = rank(
    (make_candidate(10, 900, age=1), make_candidate(11, 900, age=2), make_candidate(12, 800), make_candidate(13, 700)),
    0,
    DEFAULTS,
)


def test_one_strike_that_worked_is_enough() -> None:
    for config in (DEFAULTS, AOSP):
        assert next_victim(SLOT, 0, 0, 1000, config) == ABSENT
        assert next_victim(SLOT, 0, 0, ABSENT, config) == ABSENT


def test_a_failed_strike_falls_to_the_next_victim_and_to_the_next_tier() -> None:
    assert [next_victim(SLOT, i, ESRCH, ABSENT, DEFAULTS) for i in range(4)] == [1, 2, 3, ABSENT]


def test_aosp_ends_its_scan_with_the_slot_of_a_dead_record() -> None:
    assert [next_victim(SLOT, i, ESRCH, ABSENT, AOSP) for i in range(4)] == [1, ABSENT, ABSENT, ABSENT]


def test_aosp_strikes_the_next_slot_too_after_a_victim_without_a_page() -> None:
    assert [next_victim(SLOT, i, 0, 0, AOSP) for i in range(4)] == [2, 2, 3, ABSENT]
    assert [next_victim(SLOT, i, 0, 0, DEFAULTS) for i in range(4)] == [ABSENT] * 4


def test_may_follow_asks_about_one_pair() -> None:
    assert may_follow(SLOT[0], SLOT[1], ESRCH, ABSENT, AOSP)
    assert not may_follow(SLOT[0], SLOT[2], ESRCH, ABSENT, AOSP)
    assert may_follow(SLOT[0], SLOT[2], ESRCH, ABSENT, DEFAULTS)


def relieved(*sizes: tuple[int, int], config: PolicyConfig = STEADY, **changes: int) -> list[int]:
    """Order of processes of (adj, rss_pages), pids from 10."""
    ranked = [make_candidate(10 + i, adj, rss, age=i)._replace(**changes) for i, (adj, rss) in enumerate(sizes)]
    return pids(*ranked, config=config)


def test_in_the_cached_tier_one_three_times_as_large_as_the_next_in_line_goes_first() -> None:
    assert relieved((950, 100), (940, 200), (900, 300)) == [12, 10, 11]
    assert relieved((950, 100), (940, 200), (900, 299)) == [10, 11, 12]
    assert relieved((950, 100), (899, 9000)) == [10, 11]
    assert relieved((950, 100), (900, 300), config=STEADY._replace(relief_times=0)) == [10, 11]
    assert relieved((950, 100), (900, 300), config=DEFAULTS) == [10, 11]


def test_of_two_that_are_as_large_the_first_in_line_goes_and_swap_counts() -> None:
    assert relieved((950, 10), (940, 50), (930, 50)) == [11, 10, 12]
    leak = make_candidate(12, 900, 100)._replace(swap_pages=200)
    assert pids(make_candidate(11, 950, 100), leak, config=STEADY) == [12, 11]


def test_nobody_goes_first_where_a_size_is_unknown_or_the_next_in_line_is_a_zombie() -> None:
    assert relieved((950, ABSENT), (900, 9000)) == [10, 11]
    assert relieved((950, 0), (900, 9000)) == [10, 11]
    assert relieved((950, 100), (900, ABSENT)) == [10, 11]


def test_nobody_of_adj_200_or_less_dies_before_one_above() -> None:
    assert relieved((250, 1), (200, 9000), (0, 90_000)) == [10, 11, 12]
    assert relieved((901, 1), (0, 90_000)) == [10, 11]


CANDIDATES = st.lists(
    st.builds(make_candidate, st.integers(2, 99), st.integers(0, 1000), st.integers(-1, 9000)), max_size=9
)


@given(CANDIDATES, st.integers(0, 1000), st.integers(0, 4))
def test_relief_takes_one_out_of_line_and_leaves_the_others(
    candidates: list[Candidate], min_adj: int, relief_times: int
) -> None:
    config = STEADY._replace(relief_times=relief_times)
    line, found = rank(tuple(candidates), min_adj, DEFAULTS), rank(tuple(candidates), min_adj, config)
    assert sorted(found) == sorted(line)
    if found != line:
        assert found[0].adj >= 900
        assert size_pages(found[0]) >= relief_times * size_pages(line[0]) > 0
        assert list(found[1:]) == [one for one in line if one is not found[0]]
