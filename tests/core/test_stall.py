"""STEADY kills for stall only where pages come back, window after window, and stops where kills do not help."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from lmkd_py.core.numbers import SLOW, START
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason

from .steady_board import MIB, NOBODY, ROOMY, T0, Board, said


@pytest.mark.parametrize(("pct", "pages", "kills"), [(30, 700, True), (10, 700, False), (30, 600, False)])
def test_stall_and_refaults_together_in_two_windows_kill(pct: int, pages: int, kills: bool) -> None:
    board = Board(**ROOMY)
    board.wake()
    assert said(board.stall(pct, pages)) == NOBODY
    second = board.stall(pct, pages)
    assert said(second) == ((Action.KILL, KillReason.STALLED) if kills else NOBODY)
    assert second.min_adj == (701 if kills else ABSENT)


def test_files_that_are_read_back_count_like_swap() -> None:
    board = Board(**ROOMY)
    board.wake()
    for _ in range(2):
        board.values["workingset_refault_pages"] += 400
        judgement = board.stall(30, 300)
    assert judgement.reason == KillReason.STALLED


@pytest.mark.parametrize(("own", "kills"), [(True, True), (False, False)])
def test_in_a_cgroup_only_refaults_of_its_own_are_held_against_its_limit(own: bool, kills: bool) -> None:
    """The host's may be of anybody: a v1 cgroup has those of files only."""
    board = Board(**ROOMY, cached_kb=ABSENT)
    board.wake()
    untold = {} if own else {"refault_anon_pages": ABSENT}
    for _ in range(3):
        board.values["workingset_refault_pages"] += 9000
        judgement = board.stall(30, 0, **untold)
    assert said(judgement) == ((Action.KILL, KillReason.STALLED) if kills else NOBODY)


def test_a_window_with_half_the_refaults_is_no_second_one() -> None:
    board = Board(**ROOMY)
    board.wake()
    reasons = [board.stall(30, pages).reason for pages in (4000, 2000, 1000, 900)]
    assert reasons == [KillReason.NONE] * 3 + [KillReason.STALLED]


def test_windows_differ_where_tasks_go_over_their_memory_in_turns() -> None:
    """Permille of RAM a second that came back while a board thrashed to no end: not one of them is the better one."""
    board = Board(**ROOMY)
    board.wake()
    reasons = [board.stall(30, 64 * permille).reason for permille in (158, 118, 150, 88, 139)]
    assert reasons == [KillReason.NONE, *[KillReason.STALLED] * 4]


def test_windows_begin_at_the_last_victims_death() -> None:
    board = Board(**ROOMY)
    board.wake()
    board.stall(30, 700)
    assert board.stall(30, 700).reason == KillReason.STALLED
    board.strike()
    board.stall(90, 9000, 300)  # it dies: what was before does not count
    assert [board.stall(30, 700).reason for _ in range(2)] == [KillReason.NONE, KillReason.STALLED]


def test_nobody_stalls_for_want_of_memory_while_much_of_it_is_free() -> None:
    board = Board(**ROOMY)
    board.wake()
    board.stall(30, 700)
    assert board.stall(30, 700, mem_free_kb=18 * MIB).reason == KillReason.NONE
    assert board.stall(30, 700, mem_free_kb=18 * MIB - 1).reason == KillReason.STALLED


def test_boosted_watermarks_and_free_cma_are_not_plenty() -> None:
    """kswapd goes up to 2.5 times the high watermark then, and counts no CMA."""
    board = Board(**ROOMY)
    board.wake()
    board.stall(30, 700)
    assert board.stall(30, 700, mem_free_kb=24 * MIB, cma_free_kb=9 * MIB).reason == KillReason.STALLED


def test_windows_in_which_nobody_looked_do_not_count() -> None:
    board = Board(**ROOMY)
    board.wake()
    board.stall(30, 700)
    assert board.stall(30, 70_000, 2001).reason == KillReason.NONE
    assert board.stall(30, 700).reason == KillReason.NONE


def test_a_verdict_of_stall_that_found_nobody_is_said_again_by_the_next_bad_window() -> None:
    board = Board(**ROOMY)
    board.wake()
    reasons = [board.stall(30, 700).reason for _ in range(4)]
    assert reasons == [KillReason.NONE] + [KillReason.STALLED] * 3


def thrashing(board: Board, seconds: int, pages: Any) -> list[int]:
    """Times of kills in ms; each takes effect at once. `pages`: what comes back a second, by the kills so far."""
    struck: list[int] = []
    board.wake()
    for _ in range(seconds * 10):
        judgement = board.stall(30, pages(len(struck)) // 10, 100)
        if judgement.action == Action.KILL:
            struck.append(board.now_ms - T0)
            board.strike(shared_pages=0)
    return struck


def test_kills_after_which_as_much_is_read_back_come_ever_later() -> None:
    struck = thrashing(Board(**ROOMY), 100, lambda kills: 9000)
    gaps = [(after - before) // 1000 for before, after in pairwise(struck)]
    assert gaps[:2] == [2, 2]
    assert gaps[2:6] == [2, 4, 8, 16]


def test_kills_that_lessen_refaults_go_on() -> None:
    struck = thrashing(Board(**ROOMY), 30, lambda kills: 9000 * 7**kills // 10**kills)
    gaps = [after - before for before, after in pairwise(struck)]
    assert len(struck) == 8
    assert max(gaps) < 2500


def test_a_wait_is_told_as_held() -> None:
    board = Board(**ROOMY)
    thrashing(board, 11, lambda kills: 9000)
    held = [board.stall(30, 9000) for _ in range(3)]
    assert (Action.HELD, KillReason.STALLED) in map(said, held)
    assert all(judgement.poll_request == SLOW | START for judgement in held if judgement.action == Action.HELD)
