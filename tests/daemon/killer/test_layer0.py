"""Layer 0: an armed killer takes nothing from the kernel, whatever rule or victim a wakeup comes to.

Counted by the kernel from outside, on the killer's deciding thread, from the first wakeup after arming on.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.debs import PackageError
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.vocabulary import Action, KillReason
from lmkd_py.kernel.sensing.perf import EventCounter
from tests.daemon.exercise import Exerciser
from tests.support import in_soak, needs_cgroup, require
from tools.trixie_python import trixie_python

pytestmark = [needs_cgroup, pytest.mark.slow]

MARK_EVERY = 10_000  # as the exerciser has it
SPARE_WANTED = 4096
DEPTHS = 150  # further frames: well beyond one 16 KiB chunk of them
REASONS = {int(reason) for reason in KillReason} - {
    int(KillReason.NONE),
    int(KillReason.VENDOR_BASE),
    int(KillReason.IN_KERNEL_STRIKE),
} | {1003}


@pytest.fixture
def domain() -> Iterator[Sandbox]:
    """A domain that nobody lives in: only its event descriptors matter."""
    with Sandbox(limit_mib=64) as made:
        yield made


def newest_python() -> str:
    try:
        return str(trixie_python())
    except PackageError as error:
        require(False, f"trixie's Python could not be fetched: {error}")
        raise


def assert_takes_nothing(domain: Sandbox, wakeups: int, python: str = sys.executable, how: str = "steady") -> None:
    with Exerciser(domain, how, python=(python,)) as killer:
        count = killer.count_kicks if how == "kicked" else killer.count
        at_start = killer.memory()
        assert count(wakeups // 2 + 1) == {}
        assert killer.memory() == at_start
        assert count(wakeups // 2 + 1) == {}
        assert killer.memory() == at_start
        saw = killer.results()
    assert saw["exit"] == [(0,)]
    if how == "kicked":
        ((kicks, strikes, answered),) = saw["kicks"]
        assert kicks > wakeups
        assert (strikes, answered) == (0, 1)
    # Every rule struck, every action was met, and victims that could not be struck were passed over up to four times.
    assert {reason for action, reason, _, struck in saw["kind"] if struck} == REASONS
    assert {action for action, *_ in saw["kind"]} == {int(action) for action in Action}
    assert {attempts for *_, attempts, struck in saw["kind"] if struck} >= {1, 3, 4}
    marks = saw["marks"][0]
    blocks, collections = marks[0::2], marks[1::2]
    half, end = wakeups // 2 // MARK_EVERY, wakeups // MARK_EVERY
    assert abs(blocks[end] - blocks[half]) <= 64 or half == 0, blocks
    assert set(collections[: end + 1]) == {collections[0]}, "the garbage collector ran after arming"


def test_twenty_thousand_wakeups_through_every_branch_take_nothing(domain: Sandbox) -> None:
    assert_takes_nothing(domain, 2 * MARK_EVERY)


@pytest.mark.soak
def test_a_hundred_thousand_wakeups_through_every_branch_take_nothing(domain: Sandbox) -> None:
    assert_takes_nothing(domain, 10 * MARK_EVERY)


@pytest.mark.pressure
@pytest.mark.parametrize("rounds", [1, in_soak(10)])  # of all policies
def test_wakeups_by_the_kick_of_a_domain_that_reclaims_and_their_answers_take_nothing(
    domain: Sandbox, rounds: int
) -> None:
    """A loaded BPF program counts the reclaims of real readers and kicks; it is told to kick again at each answer."""
    domain.start_thrashers(2)
    assert_takes_nothing(domain, rounds * MARK_EVERY, how="kicked")


def test_warm_ticks_take_nothing(domain: Sandbox) -> None:
    assert_ticks_take_nothing(domain, sys.executable)


@pytest.mark.all_suite
def test_warm_ticks_take_nothing_under_the_python_of_trixie(domain: Sandbox) -> None:
    assert_ticks_take_nothing(domain, newest_python())


def assert_ticks_take_nothing(domain: Sandbox, python: str) -> None:
    """From the first one after arming on, through the same shortages and past the same victims."""
    with Exerciser(domain, "warmed", python=(python,)) as killer:
        at_start = killer.memory()
        assert killer.count_ticks(2000) == {}
        assert killer.memory() == at_start
        saw = killer.results()
    assert saw["exit"] == [(0,)]
    assert saw["ticks"][0][0] >= 2000


@pytest.mark.all_suite
def test_twenty_thousand_wakeups_take_nothing_under_the_python_of_trixie(domain: Sandbox) -> None:
    assert_takes_nothing(domain, 2 * MARK_EVERY, newest_python())


def test_a_killer_that_reads_files_the_usual_way_is_caught(domain: Sandbox) -> None:
    """The negative control: the same killer and the same count, with one open() and read() in its sample."""
    with Exerciser(domain, "idiomatic") as killer:
        counts = killer.count(500)
    assert counts["syscalls:sys_enter_openat"] >= 100
    assert counts["kmem:kmem_cache_alloc"] > counts["syscalls:sys_enter_openat"]
    assert counts["kmem:kmalloc"] > 0


@pytest.mark.parametrize("victims", [50, pytest.param(1000, marks=pytest.mark.all_suite)])
def test_a_thousand_wakeups_and_all_kills_succeed_where_every_other_system_call_fails(
    domain: Sandbox, victims: int
) -> None:
    with Exerciser(domain, "caged", victims) as killer:
        status = Path(f"/proc/{killer.killer_pid}/status").read_text()
        assert re.search(r"^Seccomp:\s+2$", status, re.M)
        counts = killer.count(1000 + 3 * victims)
        saw = killer.results()
    assert counts == {}
    assert saw["exit"] == [(0,)]
    assert saw["dead"] == [(victims,)]
    assert saw["faults"] == [(3,)], "open() and a large bytearray must fail in the caged process"


def test_the_margin_to_the_edge_of_the_frame_stack_is_what_arming_says(domain: Sandbox) -> None:
    require(sys.version_info >= (3, 11), "frames of this Python lie on the heap")
    assert_margin(domain, sys.executable)


@pytest.mark.all_suite
def test_the_margin_is_what_arming_says_under_the_python_of_trixie_too(domain: Sandbox) -> None:
    assert_margin(domain, newest_python())


def assert_margin(domain: Sandbox, python: str) -> None:
    """The same evaluations further and further down: where calls begin to map memory is the edge."""
    events = ("syscalls:sys_enter_mmap", "syscalls:sys_enter_munmap")
    with Exerciser(domain, "sweep", python=(python,)) as killer:
        said = next((line for line in killer.said if line.startswith("note frame stack: ")), "")
        tops, totals = [], [0]
        with EventCounter(events, killer.killer_pid) as counter:
            for depth in range(DEPTHS):
                tops.append(killer.sink(depth))
                totals.append(sum(counter.read()))
        mapped = [after - before for before, after in itertools.pairwise(totals)]
        assert killer.results()["exit"] == [(0,)]
    frame = tops[1] - tops[0]
    edge = next(depth for depth, count in enumerate(mapped) if count)
    # At the edge it is not one mapping but one and its undoing at every call: that is what the margin is for.
    assert max(mapped) >= 40, mapped
    margin = edge * frame
    noted = int(said.split()[3])
    assert margin >= noted >= SPARE_WANTED, (margin, noted)
    assert margin - noted < 2048, (margin, noted)
