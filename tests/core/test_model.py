"""STEADY in a closed loop: how many have to die is known by arithmetic, and it kills that many, or one more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import KillReason

from .model.killers import Nobody, Oracle, Policy
from .model.workloads import Killer, Result, fewest, game, is_fine, leak, switch, thrash
from .values import DEFAULTS, STEADY

Workload = Callable[[Killer], Result]


def under(workload: Workload, config: PolicyConfig = STEADY) -> tuple[Result, list[KillReason]]:
    policy = Policy(config)
    return workload(policy), policy.reasons


# (workload, how many have to die)
GAMES: dict[str, tuple[Workload, int]] = {
    "game": (game, 5),
    "pages that shrink to a third": (lambda killer: game(killer, 3.0, 176), 4),
    "random pages": (lambda killer: game(killer, 1.05, 80), 7),
}


@pytest.mark.parametrize("name", GAMES)
def test_a_growing_game_costs_as_many_as_have_to_die_and_at_most_one_more(name: str) -> None:
    workload, minimum = GAMES[name]
    assert fewest(workload, Oracle) == minimum
    result, reasons = under(workload)
    assert is_fine(result)
    assert minimum <= len(result.died) <= minimum + 1
    assert result.died == tuple(sorted(result.died, reverse=True))
    assert set(reasons) == {KillReason.EXHAUSTED}


def test_the_kernel_alone_kills_as_many_and_stalls_longer() -> None:
    alone = game(Nobody())
    assert alone.oom_kills == len(alone.died) == 5
    assert under(game)[0].stalled_s < alone.stalled_s / 5


def test_aosps_policy_kills_everybody_it_may() -> None:
    assert len(under(game, DEFAULTS)[0].died) >= 12


def test_a_game_that_fits_costs_nobody() -> None:
    result, _ = under(lambda killer: game(killer, mib=120))
    assert (result.done, result.died) == (True, ())


@pytest.mark.parametrize("pace", [24, 120])
@pytest.mark.parametrize("death_ms", [10, 100])
def test_neither_a_quick_game_nor_a_slow_death_costs_much_more(pace: float, death_ms: int) -> None:
    policy = Policy(STEADY, death_ms)
    result = game(policy, pace=pace)
    assert is_fine(result)
    assert len(result.died) <= 7


def test_of_a_leak_the_leaker_alone_dies_and_in_strict_order_four_before_it() -> None:
    result, reasons = under(leak)
    assert (result.names, reasons) == (("cached-908",), [KillReason.EXHAUSTED])
    assert not result.oom_kills
    strict, _ = under(leak, STEADY._replace(relief_times=0))
    assert len(strict.died) == 5


def test_thrash_is_ended_by_as_few_as_have_to_die_and_then_goes_on_at_full_speed() -> None:
    assert fewest(thrash, Oracle) == 4
    assert not is_fine(thrash(Nobody()))
    result, reasons = under(thrash)
    assert is_fine(result)
    assert (len(result.died), set(reasons)) == (4, {KillReason.STALLED})
    assert result.stalled_s < 10


def test_thrash_that_no_kill_can_end_costs_few_and_ever_fewer() -> None:
    result, reasons = under(lambda killer: thrash(killer, 150))
    assert not is_fine(thrash(Oracle(10), 150))
    assert reasons.count(KillReason.STALLED) <= 7
    assert min(result.died) >= 701


def test_going_through_applications_costs_no_more_than_under_the_kernel_alone() -> None:
    alone, result = switch(Nobody()), under(switch)[0]
    assert len(result.died) <= len(alone.died)
    assert (result.oom_kills, result.done) == (0, True)
    assert result.stalled_s < alone.stalled_s
    assert min(result.died) >= 900


def test_where_zram_tells_nothing_and_shrinks_nothing_tasks_stall_longer() -> None:
    measured, blind = (game(Policy(STEADY, sees_zram=told), 1.05, 80) for told in (True, False))
    assert blind.stalled_s > 2 * measured.stalled_s
