"""STEADY asks whether there is room before anybody dies."""

from __future__ import annotations

import pytest

from lmkd_py.core.describe import describe
from lmkd_py.core.numbers import FAST, SLOW, START
from lmkd_py.core.snapshot import REAPED
from lmkd_py.core.state import INITIAL
from lmkd_py.core.vocabulary import ABSENT, Action, WakeupKind

from .steady_board import BOARD, CGROUP, KILL, MIB, NOBODY, ROOMY, SHORT, Board, said
from .values import DEFAULTS, STEADY, Values


def test_somebody_dies_when_there_is_less_room_than_the_reserve() -> None:
    assert said(Board(**ROOMY).wake()) == NOBODY
    exhausted = Board(**SHORT).wake()
    assert said(exhausted) == KILL
    assert exhausted.min_adj == 201
    assert said(Board(**SHORT, **ROOMY).wake()) == NOBODY


def test_a_wakeup_in_which_nothing_reclaims_is_judged_all_the_same() -> None:
    board = Board(**SHORT, kswapd_progress=0)
    assert said(board.wake()) == KILL
    assert said(board.wake()) == KILL


def test_everybody_may_be_struck_when_nobody_else_was_found_for_long() -> None:
    board = Board(**SHORT)
    floors = [board.wake().min_adj for _ in range(9)]
    assert floors == [201] * 7 + [0] * 2
    board.strike()
    assert [board.wake().min_adj for _ in range(8)] == [201] * 7 + [0]


@pytest.mark.parametrize("pause_ms", [700, 60_000])
def test_a_search_that_nobody_went_on_with_begins_anew(pause_ms: int) -> None:
    board = Board(**SHORT)
    board.wake()
    assert [board.wake(after_ms).min_adj for after_ms in (pause_ms, *[100] * 7)] == [201] * 7 + [0]


def test_another_policy_in_between_leaves_nothing_of_a_search_or_a_wait() -> None:
    board = Board(**SHORT)
    board.wake()
    for board.config in (DEFAULTS, STEADY):
        floors = [board.wake().min_adj for _ in range(8)]
    assert floors == [201] * 7 + [0]
    board.state = board.state._replace(stall_wait_until_ms=board.now_ms + 10**6, dying_kb=10**6)
    board.config = DEFAULTS
    assert board.wake().state[-15:] == INITIAL[-15:]


def test_room_in_between_begins_the_search_anew() -> None:
    board = Board(**SHORT)
    for _ in range(6):
        board.wake()
    assert said(board.wake(**ROOMY)) == NOBODY
    assert [board.wake().min_adj for _ in range(7)] == [201] * 7


def test_a_victims_death_is_awaited_then_counted_as_room_and_then_given_up() -> None:
    board = Board(**SHORT)
    board.wake()
    board.strike(rss_pages=2560, swap_pages=256, shared_pages=256)  # 10 MiB of its own
    assert board.wake(500, victim_alive=1).action == Action.PENDING
    late = board.wake(500, victim_alive=1)
    assert (said(late), late.state.dying_kb) == (NOBODY, 10 * MIB)
    assert said(board.wake(500, victim_alive=1, mem_free_kb=0)) == NOBODY
    assert said(board.wake(500, victim_alive=1)) == KILL
    assert board.state.dying_kb == ABSENT


def test_what_was_reaped_is_free_and_does_not_count_once_more() -> None:
    board = Board(**SHORT)
    board.wake()
    board.strike(rss_pages=2560, shared_pages=0)
    assert board.wake(500, victim_alive=REAPED).action == Action.PENDING
    late = board.wake(500, victim_alive=REAPED)
    assert (said(late), late.state.dying_kb) == (KILL, ABSENT)


def test_all_is_judged_anew_after_a_death() -> None:
    board = Board(**SHORT)
    board.wake()
    board.strike()
    assert said(board.wake(20, **ROOMY)) == NOBODY
    assert said(board.wake(20)) == KILL


def test_polls_are_quick_only_within_half_a_reserve_of_the_limit() -> None:
    reserve_kb = 448 * MIB * 15 // 1000
    edge_kb = 4 * MIB + reserve_kb + reserve_kb // 2
    quick = Board().wake(mem_free_kb=edge_kb - 1, active_file_kb=0, inactive_file_kb=0)
    slow = Board().wake(mem_free_kb=edge_kb, active_file_kb=0, inactive_file_kb=0)
    assert (quick.poll_request, slow.poll_request) == (FAST, SLOW)


def test_somebody_looks_again_while_a_verdict_is_searched_for_or_a_bad_window_was_seen() -> None:
    board = Board(**SHORT)
    assert [bool(board.wake().poll_request & START) for _ in range(10)] == [True] * 8 + [False] * 2
    board = Board(**ROOMY)
    assert not board.wake().poll_request & START
    assert board.stall(30, 700).poll_request & START
    assert not board.stall(0, 0).poll_request & START
    assert board.wake(kind=WakeupKind.EVENT).poll_request & START


def test_where_all_tasks_wait_in_vain_there_is_no_room_whatever_the_numbers_say() -> None:
    board = Board(**ROOMY)
    assert said(board.wake()) == NOBODY
    floors = [board.wake(hangs=1 + number // 3).min_adj for number in range(9)]  # found to hang at every third look
    assert floors == [201] * 7 + [0] * 2
    board.strike()
    assert said(board.wake(hangs=3)) == NOBODY
    assert said(board.wake(hangs=4)) == KILL
    assert said(board.wake(1000, hangs=4)) == NOBODY


def test_without_psi_room_alone_decides() -> None:
    board = Board(**ROOMY)
    board.values["psi_mem_some_total_us"] = ABSENT
    for _ in range(5):
        board.values["refault_anon_pages"] += 90_000
        assert said(board.wake(1000)) == NOBODY
    assert said(board.wake(**{**SHORT, "swap_free_kb": 0})) == KILL


def test_a_cgroup_is_judged_by_its_own_limit() -> None:
    values = {**BOARD, **CGROUP}
    assert said(Board(**{**values, "mem_free_kb": 12 * MIB}).wake()) == NOBODY
    assert said(Board(**{**values, "mem_free_kb": 10 * MIB}).wake()) == KILL


def test_a_vendors_request_is_served_as_by_the_other_policies() -> None:
    request: Values = {"kind": WakeupKind.VENDOR, "level": ABSENT, "vendor_reason": 7, "vendor_min_adj": 900}
    judgement = Board(**ROOMY).wake(**request)
    assert (said(judgement), judgement.min_adj) == ((Action.KILL, 1007), 900)
    assert Board(**ROOMY).wake(**{**request, "vendor_reason": 1000}).action == Action.INVALID


def test_kills_that_free_nothing_are_held_and_the_search_for_others_does_not_go_on_meanwhile() -> None:
    board = Board(**SHORT)
    actions = []
    for _ in range(40):
        judgement = board.wake()
        actions.append(judgement.action)
        assert judgement.min_adj != 0
        if judgement.action == Action.KILL:
            board.strike()
    assert actions.count(Action.KILL) <= 5
    assert Action.HELD in actions


def test_the_words_of_a_verdict_have_its_numbers() -> None:
    board = Board(**SHORT, swap_free_kb=3 * MIB, zram_stored_kb=93 * MIB, zram_used_kb=30 * MIB)
    board.values["zram_swap_kb"] = 192 * MIB
    judgement = board.wake()
    assert describe(judgement, board.snapshot, STEADY) == (
        "room 4.0 MiB, reserve 6.7 MiB:"
        " 0.0 free above the low watermark, 2.0 of file cache, 2.0 that swap frees at 3.1:1"
    )
    board = Board(**ROOMY)
    board.wake()
    board.stall(30, 700)
    judgement = board.stall(30, 700)
    assert describe(judgement, board.snapshot, STEADY) == (
        "tasks wait for memory 30% of the time, 10 permille of RAM a second are read back; room 104.0 MiB"
    )
