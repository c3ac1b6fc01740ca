"""The killer's private lists: AOSP's order, and work that does not grow with other tiers."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.victims import rank
from lmkd_py.core.vocabulary import ABSENT, PolicyKind
from lmkd_py.daemon.killer.roster import COLLECT_AT_LEAST, NOBODY, Roster


def roster_of(*adjs: int) -> Roster:
    roster = Roster(64)
    for row, adj in enumerate(adjs):
        roster.add(row, (100 + row, 0, adj, ABSENT, 1, row), os.open("/dev/null", os.O_RDONLY))
    return roster


def empty(roster: Roster) -> None:
    for row in range(roster.rows):
        roster.drop(row)


def test_the_oldest_of_the_most_expendable_slot_comes_first() -> None:
    roster = roster_of(700, 900, 900, 950)
    assert [each.pid for each in roster.collect(0, 1000, 0).values()] == [103, 101, 102, 100]
    empty(roster)


def test_registering_again_makes_a_process_its_slots_newest() -> None:
    roster = roster_of(900, 900, 900)
    roster.move(0, 900, 7)
    assert list(roster.collect(0, 1000, 0)) == [1, 2, 0]
    empty(roster)


def test_nobody_below_the_floor_or_above_the_ceiling_is_collected() -> None:
    roster = roster_of(100, 200, 900)
    assert [each.adj for each in roster.collect(200, 1000, 0).values()] == [900, 200]
    assert [each.adj for each in roster.collect(0, 200, 0).values()] == [200, 100]
    empty(roster)


def test_a_negative_adj_is_never_listed() -> None:
    roster = roster_of(-1, 900)
    assert list(roster.collect(-1000, 1000, 0)) == [1]
    roster.move(1, -800, 9)
    assert roster.collect(-1000, 1000, 0) == {}
    empty(roster)


def test_a_wakeup_looks_at_the_same_number_of_rows_whatever_lies_in_other_tiers() -> None:
    few, many = Roster(8), Roster(6000)
    for roster, others in ((few, 4), (many, 5000)):
        for row in range(others):
            roster.add(row, (10_000 + row, 0, 300, ABSENT, 1, row), os.open("/dev/null", os.O_RDONLY))
        for row in range(others, others + 4):
            roster.add(row, (10_000 + row, 0, 900, ABSENT, 1, row), os.open("/dev/null", os.O_RDONLY))
        roster.collect(201, 1000, 0)
    assert few.looked_at == many.looked_at == COLLECT_AT_LEAST
    empty(few)
    empty(many)


def test_of_a_slot_where_size_decides_all_are_read() -> None:
    roster = Roster(8)
    for row in range(6):
        roster.add(row, (os.getpid(), 0, 100, ABSENT, 1, row), os.open("/dev/null", os.O_RDONLY))
        roster.size(row, os.open("/proc/self/statm", os.O_RDONLY), os.open("/proc/self/oom_score_adj", os.O_RDONLY))
    found = roster.collect(0, 1000, 0)
    assert len(found) == 6
    assert all(each.rss_pages > 0 for each in found.values())
    empty(roster)


def test_every_descriptor_taken_over_is_closed_again() -> None:
    before = len(os.listdir("/proc/self/fd"))
    roster = roster_of(900, 900, 100)
    roster.size(0, os.open("/proc/self/statm", os.O_RDONLY), os.open("/proc/self/oom_score_adj", os.O_RDONLY))
    roster.size(9, os.open("/proc/self/statm", os.O_RDONLY), os.open("/proc/self/oom_score_adj", os.O_RDONLY))
    assert roster.fds_held == 5
    os.close(roster.take(0))
    empty(roster)
    assert roster.fds_held == 0
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_is_not_sized_any_more_keeps_its_oom_score_adj() -> None:
    roster = roster_of(900, 900)
    roster.size(0, os.open("/proc/self/statm", os.O_RDONLY), os.open("/proc/self/oom_score_adj", os.O_RDONLY))
    roster.pin(1, os.open("/proc/self/oom_score_adj", os.O_RDONLY))
    roster.pin(1, os.open("/proc/self/oom_score_adj", os.O_RDONLY))
    roster.pin(9, os.open("/proc/self/oom_score_adj", os.O_RDONLY))
    roster.unsize(0)
    roster.unsize(1)
    assert all(int(os.pread(roster.adj_fd[row], 16, 0)) <= 1000 for row in (0, 1))
    assert roster.statm_fd[0] < 0
    assert roster.fds_held == 4
    empty(roster)
    assert roster.fds_held == 0


@given(st.lists(st.tuples(st.sampled_from("amd"), st.integers(0, 15), st.sampled_from([-1, 0, 100, 200, 900, 999]))))
def test_the_lists_agree_with_a_plain_model_after_any_history(steps: list[tuple[str, int, int]]) -> None:
    roster = Roster(16)
    model: dict[int, tuple[int, int]] = {}
    for age, (what, row, adj) in enumerate(steps):
        if what == "a":
            roster.add(row, (100 + row, 0, adj, 5, 1, age), os.open("/dev/null", os.O_RDONLY))
            model[row] = (adj, age)
        elif what == "m":
            roster.move(row, adj, age)
            if row in model:
                model[row] = (adj, age)
        else:
            roster.drop(row)
            model.pop(row, None)
    wanted = sorted((-adj, age, row) for row, (adj, age) in model.items() if adj >= 0)
    found: list[int] = []
    ceiling = 1000
    while ceiling >= 0:
        part = roster.collect(0, ceiling, 1)
        if not part:
            break
        found += part
        ceiling = min(each.adj for each in part.values()) - 1
    assert found == [row for _, _, row in wanted]
    empty(roster)


def weighed(*sizes: tuple[int, int, int]) -> Roster:
    """A roster of processes of (adj, pages when they were registered, pages in swap)."""
    roster = Roster(64)
    for row, (adj, rss, swap) in enumerate(sizes):
        roster.add(row, (100 + row, 0, adj, rss, 1, row), os.open("/dev/null", os.O_RDONLY))
        roster.swap[row] = swap
    return roster


SIZES = st.tuples(st.integers(895, 910), st.integers(-1, 30), st.integers(-1, 30))


@given(st.lists(SIZES, min_size=1, max_size=9), st.integers(0, 910), st.integers(0, 4))
def test_who_goes_before_the_first_in_line_is_whom_the_policy_puts_there(
    sizes: list[tuple[int, int, int]], min_adj: int, times: int
) -> None:
    roster = weighed(*sizes)
    first = roster.oldest_expendable(min_adj, 0)
    if first != NOBODY:
        config = PolicyConfig(kind=int(PolicyKind.STEADY), relief_times=times)
        front = rank(tuple(roster.candidate(row, 1) for row in range(len(sizes))), min_adj, config)[0]
        found = roster.relief(first, min_adj, times)
        assert (found[1] if found else roster.candidate(first, 1)) == front
        if found:
            assert (roster.pid[found[0]], found[2]) == (front.pid, roster.candidate(first, 1))
    empty(roster)
