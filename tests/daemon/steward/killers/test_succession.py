"""From one killer to the next: what is true at every moment of it, and after whatever goes wrong."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from errno import ENOMEM
from pathlib import Path
from typing import NoReturn

import pytest

from lmkd_py.core.config import Config, with_settings
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.inherited import Inherited
from lmkd_py.daemon.killer import child
from lmkd_py.daemon.steward.candidates.outbox import NOTHING
from lmkd_py.daemon.steward.filing.journal import Journal
from lmkd_py.daemon.steward.killers import succession
from lmkd_py.daemon.steward.killers.keeper import KillerFailed
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike
from lmkd_py.daemon.steward.reload import replace_guard
from tests.daemon.driver import Trace
from tests.daemon.rig import Members
from tests.daemon.steward.killers.bench import FIRST, OTHER, Bench, armed

pytestmark = pytest.mark.root("forks killers")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path / "root", monkeypatch)
    yield made
    made.close()


def test_the_former_strike_is_disarmed_as_soon_as_the_new_one_is_armed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes by the former domain, limits and list; the first that is done after arming is to heed the new kicks."""
    (former,) = bench.strikes
    armed: list[tuple[bool, bool]] = []
    heed_kicks = bench.steward.events.heed_kicks

    def heed(strike: KernelStrike) -> None:
        armed.append((former.is_armed, bench.strikes[-1].is_armed))
        heed_kicks(strike)

    monkeypatch.setattr(bench.steward.events, "heed_kicks", heed)
    assert former.is_armed
    assert not replace_guard(bench.steward, Config(monitor=OTHER))
    assert armed == [(False, True)]


def test_a_handover_that_is_broken_off_leaves_the_former_strike_armed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(ENOMEM, "no memory")

    killer = bench.steward.killer
    with monkeypatch.context() as patch:
        patch.setattr(KernelStrike, "keep", fail)
        assert replace_guard(bench.steward, Config(monitor=OTHER)) == "[Errno 12] no memory"
    former, latter = bench.strikes
    assert (former.is_armed, latter.is_armed) == (True, False)
    assert bench.steward.kernel_strike is former
    assert bench.steward.killer is killer
    assert not killer.wait_end(0)
    bench.settle()


ELSEWHERE = with_settings(OTHER, domain={"psi_path": "/elsewhere"})  # what the bench tells another domain by


def fail_to_begin(*_: object) -> NoReturn:
    """In the place of Journal.begin."""
    raise OSError(ENOMEM, "no memory")


def test_candidates_of_a_domain_that_was_given_up_are_never_listed_nor_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger, former = bench.add_elsewhere("/elsewhere"), bench.steward.killer
    told: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "begin", fail_to_begin)
        assert replace_guard(bench.steward, Config(monitor=ELSEWHERE))
    outbox = former.outbox
    assert outbox is not None
    put = outbox.put

    def note(op: int, row: int, values: tuple[int, ...] = (), fds: tuple[int, ...] = ()) -> None:
        told.append(values[0] if values else 0)
        put(op, row, values or NOTHING, fds)

    monkeypatch.setattr(outbox, "put", note)
    bench.steward.after_each()  # of the turn in which it was broken off
    bench.settle()
    bench.assert_guarded_by(former)
    assert stranger not in told
    assert not [listed for armed, listed in bench.strikes[0].guard.lists if armed and stranger in listed]


def test_whoever_a_scan_found_is_forgotten_where_nobody_is_looked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not replace_guard(bench.steward, Config(monitor=with_settings(FIRST, discovery={"scan": 0})))
    assert not bench.steward.candidates.processes
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "begin", fail_to_begin)
        assert replace_guard(bench.steward, Config(monitor=FIRST))
    bench.settle()
    assert not bench.steward.candidates.processes
    assert not replace_guard(bench.steward, Config(monitor=FIRST))


def test_nobody_takes_over_with_candidates_of_the_former_domain(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    former, failing = bench.steward.killer, [True]
    members = Members.members

    def fail(self: Members) -> list[int]:
        if failing and self.pids is not bench.apps:
            raise OSError(ENOMEM, "no memory")
        return members(self)

    monkeypatch.setattr(Members, "members", fail)
    bench.add_elsewhere("/elsewhere")
    assert "candidates" in replace_guard(bench.steward, Config(monitor=ELSEWHERE))
    bench.settle()
    bench.assert_guarded_by(former)
    failing.clear()
    assert not replace_guard(bench.steward, Config(monitor=ELSEWHERE))
    assert set(bench.steward.candidates.processes) == set(bench.inside["/elsewhere"])
    assert not replace_guard(bench.steward, Config(monitor=FIRST))


def die_when_told(inherited: Inherited) -> NoReturn:
    """A killer that does not survive the first candidate."""
    _, kick = armed(inherited)
    select.select([kick], [], [])
    os._exit(0)


def take_nothing(inherited: Inherited) -> NoReturn:
    """A killer that lives and takes no candidate."""
    _inbox, _ = armed(inherited)  # kept: else its end of the socket is closed
    while True:
        signal.pause()


def take_nothing_and_hang_up(inherited: Inherited) -> NoReturn:
    """A killer that lives, and has closed its end of the socket."""
    armed(inherited, hang_up=True)
    while True:
        signal.pause()


BROKEN: Mapping[str, tuple[Callable[[Inherited], NoReturn], str]] = {
    "dies": (die_when_told, "the killer ended before it took over"),
    "takes nothing": (take_nothing, "the killer has taken no candidate for 0.2 s"),
    "hangs up": (take_nothing_and_hang_up, "the killer does not listen: Broken pipe"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_successor_that_is_dead_or_broken_is_dropped_and_the_former_killer_guards_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    successor, why = BROKEN[how]
    former = bench.steward.killer
    with monkeypatch.context() as patch:
        patch.setattr(child, "killer_main", successor)
        if successor is take_nothing:
            patch.setattr(succession, "HAND_OVER_TIMEOUT_S", 0.2)
        assert replace_guard(bench.steward, Config(monitor=OTHER)) == why
    bench.settle()
    bench.assert_guarded_by(former)
    assert len(Trace(bench.root).headers) == 1, "of a killer that never guarded"


def test_a_successor_that_dies_at_the_last_moment_is_dropped_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    former, begin = bench.steward.killer, Journal.begin
    reply = bench.status()

    def kill_first(journal: Journal, *rest: object) -> None:
        os.kill(rest[2].pid, signal.SIGKILL)  # type: ignore[attr-defined]
        assert rest[2].wait_end(30)  # type: ignore[attr-defined]
        begin(journal, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "begin", kill_first)
        assert replace_guard(bench.steward, Config(monitor=OTHER)) == "the killer ended before it took over"
    bench.settle()
    bench.assert_guarded_by(former)
    assert bench.status() == reply


def test_a_new_stewards_killer_that_dies_does_not_cost_the_orphan_its_life(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = bench.steward.killer
    with monkeypatch.context() as patch:
        patch.setattr(child, "killer_main", die_when_told)
        killer = bench.steward.fork()
        with pytest.raises(KillerFailed, match="ended before it took over"):
            bench.steward.take_over(killer, orphan)
    assert not orphan.wait_end(0)
    assert orphan.shared.words[layout.MODE] == layout.LIVE
    bench.steward.candidates.outbox = orphan.outbox


def test_where_nobody_else_guards_a_killer_goes_live_though_it_has_not_taken_everybody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = bench.steward.killer
    dead.end()
    with monkeypatch.context() as patch:
        patch.setattr(child, "killer_main", take_nothing)
        patch.setattr(succession, "HAND_OVER_TIMEOUT_S", 0.2)
        bench.steward.run_once()
    killer = bench.steward.killer
    assert killer is not dead
    assert killer.shared.words[layout.MODE] == layout.LIVE
    assert bench.steward.config.monitor == FIRST
