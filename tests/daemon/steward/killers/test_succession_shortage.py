"""A handover that finds no memory, wherever: all is as before, or the new killer is in force and nothing is left."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from errno import ENOMEM
from pathlib import Path
from typing import NoReturn

import pytest

from lmkd_py.core.config import Config, MonitorConfig, with_settings
from lmkd_py.daemon import hurry
from lmkd_py.daemon.steward import handover
from lmkd_py.daemon.steward.killers import succession
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike
from lmkd_py.daemon.steward.reload import replace_guard
from tests.daemon.driver import Trace, wait_until
from tests.daemon.scarcity import Scarcity, scarcity
from tests.daemon.steward.killers.bench import FIRST, OTHER, Bench

pytestmark = pytest.mark.root("forks killers")
Descriptors = dict[str, int]
BACK, THERE = (with_settings(each, guarantee={"rt_priority": 1}) for each in (FIRST, OTHER))


class Settled:
    """Which killers were settled, in the place of succession.settle()."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pids: list[int] = []
        monkeypatch.setattr(succession, "give_rt_quota", self.give)

    def give(self, pid: int) -> None:
        self.pids.append(pid)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Settled:
    return Settled(monkeypatch)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path / "root", monkeypatch)
    yield made
    made.close()


def descriptors() -> Descriptors:
    """How many there are of each kind."""
    found: Descriptors = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            what = os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
        except OSError:  # of the listing itself
            continue
        name = "memory of a killer" if what.startswith(("/dev/shm/", "/memfd")) else what
        found[name] = found.get(name, 0) + 1
    return found


def assert_none_but(before: Descriptors) -> None:
    """Neither more descriptors nor fewer. What a failure still refers to is garbage, and slow to look for."""
    if descriptors() != before:
        gc.collect()
        assert descriptors() == before


def try_once(bench: Bench, monitor: MonitorConfig, nth: int, settled: Settled) -> tuple[Scarcity, bool]:
    """Another killer for this configuration while the nth system call fails: it is in force, or the former one is."""
    steward, config = bench.steward, Config(monitor=monitor)
    former, former_config, generation = steward.killer, steward.config, steward.generation
    before, never = descriptors(), set(steward.candidates.never)
    settled.pids.clear()
    with scarcity(nth, True) as met:
        try:
            replace_guard(steward, config)
        except (OSError, MemoryError) as error:
            steward._failed(error)  # as the loop does
    bench.settle()
    in_force = steward.killer
    bench.assert_guarded_by(in_force)
    if in_force is former:
        assert (steward.config, steward.generation) == (former_config, generation)
        assert steward.candidates.never == never
        assert not settled.pids
    else:
        assert (steward.config, steward.generation) == (config, generation + 1)
        assert not os.path.exists(f"/proc/{former.pid}"), "the former killer lives on"
        assert not steward.burial.waiting
        assert settled.pids == [in_force.pid]
        handovers = [note for note in Trace(bench.root).noted("handover") if note.number == in_force.pid]
        assert len(handovers) == 1
    assert [each for each in bench.strikes if each.attached is not None] == [steward.kernel_strike]
    assert steward.config.monitor.guarantee.reserve_kb == steward.deferred.pool.reserve.kb
    assert_none_but(before)
    return met, in_force is former


@pytest.mark.slow
def test_a_handover_that_finds_no_memory_is_broken_off_or_completed(bench: Bench, settled: Settled) -> None:
    met, _ = try_once(bench, THERE, 0, settled)
    refusals = 0
    for nth in range(1, met.met + 1):
        monitor = BACK if bench.steward.config.monitor == THERE else THERE
        try:
            refusals += try_once(bench, monitor, nth, settled)[1]
        except AssertionError as error:
            raise AssertionError(f"call {nth} of {met.met}") from error
    assert 10 < refusals < met.met, "it fails before there is no way back, and not after"


def test_nothing_that_fails_once_the_new_killer_is_live_brings_the_former_config_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, former = hurry._take, bench.steward.killer

    def fail(nice: int) -> None:
        if bench.steward.killer is not former:
            raise MemoryError
        take(nice)

    with monkeypatch.context() as patch:
        patch.setattr(hurry, "_take", fail)
        assert not replace_guard(bench.steward, Config(monitor=THERE))
    bench.settle()
    bench.assert_guarded_by(bench.steward.killer)
    assert (bench.steward.killer is former, bench.steward.config.monitor) == (False, THERE)


STEPS: Mapping[str, Callable[[Bench], tuple[object, str]]] = {
    "arm": lambda bench: (KernelStrike, "arm"),
    "heed_kicks": lambda bench: (bench.steward.events, "heed_kicks"),
    "retire": lambda bench: (bench.steward.strikes, "retire"),
    "scan": lambda bench: (bench.steward.events, "_scan"),
    "find_over": lambda bench: (bench.steward.strikes, "find_over"),
    "burial": lambda bench: (bench.steward.burial, "carry_out"),
    "oom kills": lambda bench: (bench.steward.journal, "count_oom_kills"),
    "names": lambda bench: (bench.steward.journal.names, "settle"),
    "settle": lambda bench: (handover, "settle"),
}


@pytest.mark.parametrize("error", [OSError(ENOMEM, "no memory"), MemoryError()], ids=["ENOMEM", "MemoryError"])
@pytest.mark.parametrize("step", STEPS)
def test_what_a_shortage_interrupts_after_the_new_killer_is_live_is_done_as_a_whole_and_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, settled: Settled, step: str, error: Exception
) -> None:
    place, name = STEPS[step](bench)
    real = getattr(place, name)
    failed: list[str] = []

    def fail_once(*arguments: object) -> object:
        if bench.steward.killer is not former and not failed:
            failed.append(step)
            raise error
        return real(*arguments)

    former = bench.steward.killer
    monkeypatch.setattr(place, name, fail_once)
    _, is_former = try_once(bench, THERE, 0, settled)
    assert failed == [step]
    assert not is_former
    assert bench.steward.succession is None


def test_a_killer_that_dies_before_its_handover_is_completed_is_succeeded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, settled: Settled
) -> None:
    def fail(*_: object) -> NoReturn:
        raise MemoryError

    first = bench.steward.killer
    with monkeypatch.context() as patch:
        patch.setattr(bench.steward.events, "heed_kicks", fail)
        assert not replace_guard(bench.steward, Config(monitor=THERE))
        second = bench.steward.killer
        second.end()
    wait_until("another one is live", lambda: _turn(bench) and bench.steward.killer not in (first, second))
    bench.settle()
    bench.assert_guarded_by(bench.steward.killer)
    assert [note.subject for note in Trace(bench.root).noted("handover")] == [
        f"killer {first.pid}",
        f"killer {second.pid}",
    ]
    assert [each for each in bench.strikes if each.attached is not None] == [bench.steward.kernel_strike]


def _turn(bench: Bench) -> bool:
    bench.steward.run_once()
    return not bench.steward.vacancy.pid
