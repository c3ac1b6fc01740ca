"""The strike at the reclaiming task, in both its forms: with compare-exchange, and plain for kernels before 5.12."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.daemon.steward.killers import kernel_strike
from lmkd_py.kernel.bpf import (
    VARIANT_CURRENT,
    AttachedProgram,
    Guard,
    LoggedStrike,
    Order,
    calls,
    layout,
    load_apart,
    variants,
)
from tests.kernel.bpf_objects import delete, insert, map_of
from tests.kernel.bpf_tools import LIMIT_MIB, close, guarded, killer_of, load, rows_of, spoil, wait_events
from tests.support import wait_until

pytestmark = [pytest.mark.pressure, pytest.mark.all_suite]
PLAIN = "current_plain"
WITHOUT = "current: its form without compare-exchange (Linux 5.12, arm64 5.18)"


@pytest.fixture(params=["current", PLAIN])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Only this form is tried; the loading child inherits it."""
    monkeypatch.setattr(variants, "_FORMS", {VARIANT_CURRENT: (request.param,)})
    return str(request.param)


def told(strikes: list[LoggedStrike]) -> list[tuple[int, int, int]]:
    return [(strike.pid, strike.adj, strike.start_ticks) for strike in strikes]


@pytest.mark.parametrize("whole_system", [True, False], ids=["system", "memcg"])
def test_both_forms_load_for_each_domain(tmp_path: Path, form: str, whole_system: bool) -> None:
    with Sandbox(LIMIT_MIB) as board:
        attached = load(Order("" if whole_system else board.place.psi, variants=(VARIANT_CURRENT,)), tmp_path)
        assert (attached.variant, attached.notes) == (VARIANT_CURRENT, ())
        assert Guard(attached).counters() == (0,) * 7
        close(attached)


def test_the_expendable_who_reclaim_die(tmp_path: Path, form: str) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path, variants=(VARIANT_CURRENT,)) as (guard, _):
        idle = [board.start_app(f"idle-{adj}", adj, 0.5) for adj in (999, 900, 0)]
        guard.publish(rows_of(idle))  # no list is followed
        expendable = [*board.start_thrashers(1, adj=900), *board.start_thrashers(1, adj=950)]
        kept = [*board.start_thrashers(1, adj=899), *board.start_thrashers(1, adj=0)]
        said = {row[0]: row for row in rows_of(expendable)}
        guard.arm(layout.STRIKE)
        wait_until("there are 2 strikes", lambda: guard.counters().strikes == 2)
        assert all(app.wait_dead(60) for app in expendable)
        strikes = guard.strikes(0)
        assert sorted(told(strikes)) == sorted(said.values())
        assert all(strike.kick_ns + 50_000_000 < strike.at_ns for strike in strikes)
        assert all(0 < strike.rss_pages < layout.RSS_UNKNOWN for strike in strikes)
        wait_events(guard, 300)
        assert guard.counters().strikes == 2
        assert all(app.is_alive() for app in (*idle, *kept))
        assert board.oom_kills() == 0


def test_nobody_dies_while_the_killer_answers_and_the_expendable_once_it_is_stopped(tmp_path: Path, form: str) -> None:
    with (
        Sandbox(LIMIT_MIB) as board,
        guarded(board, tmp_path, variants=(VARIANT_CURRENT,)) as (guard, attached),
        killer_of(attached) as killer,
    ):
        expendable = board.start_thrashers(1, adj=900)
        kept = board.start_thrashers(2)
        guard.set_word(layout.ANSWER_NS, 3_000_000_000)  # a loaded machine wakes an ordinary process late
        guard.arm(layout.STRIKE)
        wait_until("there are more than 20 kicks", lambda: guard.counters().kicks > 20)
        wait_events(guard, 1000)
        assert guard.counters().strikes == 0
        killer.stop()
        guard.set_word(layout.ANSWER_NS, 50_000_000)
        wait_until("there are 1 strikes", lambda: guard.counters().strikes == 1)
        assert all(app.wait_dead(60) for app in expendable)
        guard.set_word(layout.ANSWER_NS, 3_000_000_000)
        killer.resume()
        wait_until("the last kick is answered", lambda: guard.words[layout.ACK] >= guard.words[layout.KICK])
        later = board.start_thrashers(1, adj=900)
        kicks = guard.counters().kicks
        wait_events(guard, 300)
        wait_until("it is kicked again", lambda: guard.counters().kicks > kicks)  # it is asked, and it answers
        assert guard.counters().strikes == 1
        assert all(app.is_alive() for app in (*kept, *later))


def test_two_cpus_make_one_victim_of_one_event(tmp_path: Path, form: str) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with Sandbox(256) as board, guarded(board, tmp_path, variants=(VARIANT_CURRENT,)) as (guard, _):
        guard.set_word(layout.ANSWER_NS, 1)
        guard.set_word(layout.GAP_NS, 4_000_000)
        expendable = board.start_thrashers(60, adj=900)
        kept = board.start_thrashers(4)  # the events that go on when the others are dead
        for number, app in enumerate((*expendable, *kept)):
            os.sched_setaffinity(app.pid, {cpus[number % len(cpus)]})
        guard.arm(layout.STRIKE)
        wait_until("there are 20 strikes", lambda: guard.counters().strikes >= 20)
        guard.set_word(layout.GAP_NS, 0)  # nothing but the events themselves keeps two CPUs apart now
        assert all(app.wait_dead(60) for app in expendable)
        strikes = guard.strikes(0)
        # Each has its row: two who struck at once would have written the same one.
        assert sorted(strike.pid for strike in strikes) == sorted(app.pid for app in expendable)
        times = [strike.at_ns for strike in strikes]
        assert all(later - earlier >= 4_000_000 for earlier, later in pairwise(times[:20]))
        assert len(set(times)) == 60
        assert all(app.is_alive() for app in kept)


@contextmanager
def another_striker(guard: Guard, attached: AttachedProgram, form: str) -> Iterator[None]:
    """As if a CPU were in the middle of a strike all the time."""
    if form != PLAIN:
        guard.words[layout.STRIKING] = 1
        yield
        guard.words[layout.STRIKING] = 0
        return
    claim = map_of(attached, "claim")
    wait_until("the claim is inserted", lambda: inserted(claim))
    yield
    delete(claim, 0)
    os.close(claim)


def inserted(claim: int) -> bool:
    try:
        insert(claim, 0, 0)
    except FileExistsError:
        return False
    return True


def test_nobody_is_struck_while_another_cpu_strikes(tmp_path: Path, form: str) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path, variants=(VARIANT_CURRENT,)) as (guard, attached):
        guard.set_word(layout.ANSWER_NS, 1)
        kept = board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("it is kicked", guard.kick)
        with another_striker(guard, attached, form):
            expendable = board.start_thrashers(1, adj=900)
            wait_events(guard, 300)
            assert guard.counters().strikes == 0
            assert all(app.is_alive() for app in expendable)
        wait_until("there are 1 strikes", lambda: guard.counters().strikes == 1)
        assert all(app.is_alive() for app in kept)


def test_after_the_lease_nobody_is_struck_until_it_is_armed_again(tmp_path: Path, form: str) -> None:
    lease_ns = 400_000_000
    with (
        Sandbox(LIMIT_MIB) as board,
        guarded(board, tmp_path, variants=(VARIANT_CURRENT,)) as (witness, _),
        guarded(board, tmp_path, variants=(VARIANT_CURRENT,)) as (guard, _),
    ):
        witness.arm(layout.KICK_ONLY)
        guard.set_word(layout.LEASE_NS, lease_ns)
        kept = board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("the lease has lapsed", lambda: guard.counters().lapsed_ns)
        kick = guard.kick()
        assert guard.counters().lapsed_ns > kick + lease_ns
        # The plain form cannot take back its arming: it would race with whoever arms it.
        assert guard.counters().armed == (layout.STRIKE if form == PLAIN else layout.OFF)
        expendable = board.start_thrashers(1, adj=900)
        kicks = guard.counters().kicks
        wait_events(witness, 300)
        assert guard.counters().strikes == 0
        assert guard.counters().kicks == kicks
        assert guard.kick() == kick  # a killer that comes back finds it, answers, and is armed again
        guard.answer(kick)
        guard.set_word(layout.LEASE_NS, 10_000_000_000)
        guard.arm(layout.STRIKE)
        assert guard.counters().lapsed_ns == 0
        assert all(app.wait_dead(60) for app in expendable)
        assert all(app.is_alive() for app in kept)


class Notes:
    """As much of a journal as a KernelStrike needs."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def note(self, kind: str, *_: object) -> None:
        self.kinds.append(kind)


class NoCandidates:
    """Lists nobody."""

    changes = -1


def test_a_steward_arms_again_while_its_killer_hangs(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_current(order: Order, *places: str) -> AttachedProgram:
        return load_apart(order._replace(variants=(VARIANT_CURRENT,)), *places)

    monkeypatch.setattr(kernel_strike, "load_apart", load_current)
    with Sandbox(LIMIT_MIB) as board:
        monitor = board.monitor_config(strike={"lease_ms": 400, "min_adj": 900})
        made = kernel_strike.load_kernel_strike(str(tmp_path), monitor, 0)
        assert made.attached is not None, made.refused
        guard, journal = Guard(made.attached), Notes()
        try:
            board.start_thrashers(2)
            made.arm(os.getpid(), os.getpid())
            wait_until("the lease has lapsed", lambda: guard.counters().lapsed_ns)
            expendable = board.start_thrashers(1, adj=900)
            if form == PLAIN:  # the other is off, and counts nothing
                wait_events(guard, 300)
            assert guard.counters().strikes == 0

            def looked_after() -> bool:
                made.keep(NoCandidates(), journal)  # type: ignore[arg-type]
                return not expendable[0].is_alive()

            wait_until("it is looked after", looked_after)
            assert set(journal.kinds) == {"strike-lapsed"}
        finally:
            guard.close()
            made.stand_down()


def note_of(cache: Path) -> str:
    """What is said of the program that a whole system gets."""
    attached = load_apart(Order("", variants=(VARIANT_CURRENT,)), str(cache), "")
    close(attached)
    assert attached.variant == VARIANT_CURRENT
    (note,) = attached.notes
    return note


def test_the_plain_form_takes_the_place_of_one_that_the_verifier_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, lambda program, _: "claim" not in {each.name for each in program.references})
    note = note_of(tmp_path)
    assert note.startswith(f"{WITHOUT}: the verifier says: ")


def test_the_plain_form_takes_the_place_of_one_that_the_jit_compiler_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = calls._bpf

    def older(number: int, command: int, attributes: bytes, size: int) -> int:
        if command == calls._PROG_LOAD and b"lmkd_current\0" in attributes:
            ctypes.set_errno(524)  # arm64 before 5.18, where the interpreter is left out
            return -1
        return int(real(number, command, attributes, size))

    monkeypatch.setattr(calls, "_bpf", older)
    assert note_of(tmp_path) == f"{WITHOUT}: the JIT compiler does not take it"
