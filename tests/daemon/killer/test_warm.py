"""The warm tick: everything is touched and nothing changes, within the killer's own budget."""

from __future__ import annotations

import os
import subprocess
from array import array
from collections.abc import Callable, Iterator
from time import monotonic_ns
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core import polling
from lmkd_py.core.config import DomainConfig, DomainKind, MonitorConfig, with_settings
from lmkd_py.core.numbers import EVENT, MEDIUM_LEVEL
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon.killer.evaluate import Evaluator
from lmkd_py.daemon.killer.loop import Loop
from lmkd_py.daemon.killer.reaper import Reapers
from lmkd_py.daemon.killer.ring import Ring
from lmkd_py.daemon.killer.strike import GONE, Striker
from lmkd_py.daemon.killer.victim import Awaited
from lmkd_py.daemon.killer.warm import RETRY_NS, SAVED_NS, WarmTick, serves
from lmkd_py.kernel.acting.poll import POLLIN, PollSet
from lmkd_py.kernel.acting.syscalls import eventfd, pidfd_open
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.kernel.sensing.triggers import StallMeter
from lmkd_py.kernel.sensing.triggers.trigger import LEVEL_FD, Trigger, close_triggers
from tests.daemon.pair import Pair
from tests.kernel.trees import ARM_V2, MONITORS, TREES

MS = 1_000_000
# Buffers that every read fills anew, and the tick's own bookkeeping.
SCRATCH = {"domain", "_dead", "_text", "_scratch", "warm"}


class Killer:
    """The killer's parts, armed and live, in this process; the candidates are two processes that echo."""

    def __init__(self, observe: bool = False) -> None:
        self.pair = Pair()
        self.domain = open_domain(MonitorConfig(domain=DomainConfig(DomainKind.SYSTEM)))
        self.notify = eventfd()
        roster = self.pair.roster
        striker = Striker(roster, (), observe)
        awaited = Awaited(self.pair.shared, Reapers())
        ring = Ring(self.pair.shared, self.notify)
        meter = StallMeter(1000, 70, 700, 1000)
        self.evaluator = Evaluator(self.domain, self.pair.inbox, striker, awaited, ring, meter)
        self.triggers = [Trigger("event", eventfd(), POLLIN, MEDIUM_LEVEL, LEVEL_FD, "")]
        self.loop = Loop(self.pair.shared, self.evaluator, self.triggers, self.notify)
        self.loop.live = True
        self.warm = self.loop.warm = WarmTick(self.evaluator, 2, 5)
        self.echoes = [subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]

    def register(self, adj: int, sized: bool) -> None:
        """Both as candidates, the first of them next in line."""
        for row, echo in enumerate(self.echoes):
            self.pair.roster.add(row, (echo.pid, 0, adj, 500, 1, row), pidfd_open(echo.pid))
            if sized:
                files = [os.open(f"/proc/{echo.pid}/{name}", os.O_RDONLY) for name in ("statm", "oom_score_adj")]
                self.pair.roster.size(row, *files)
            with open(f"/proc/{echo.pid}/oom_score_adj", "w") as file:
                file.write(str(adj))

    def poll_after_event(self) -> None:
        """As the loop is after an event that killed nobody."""
        now_ns = monotonic_ns()
        self.loop.poll = polling.IDLE._replace(handler=MEDIUM_LEVEL, start_ms=now_ns // MS, last_ms=now_ns // MS)
        self.warm.event(now_ns)

    def close(self) -> None:
        for echo in self.echoes:
            echo.kill()
            echo.communicate()
        close_triggers(self.triggers)
        os.close(self.notify)
        self.domain.close()
        self.pair.close()


@pytest.fixture
def killer() -> Iterator[Killer]:
    made = Killer()
    yield made
    made.close()


def heard(calls: list[tuple[Any, ...]], real: Callable[..., Any]) -> Callable[..., Any]:
    """The real function, whose calls are noted."""

    def call(*how: Any) -> Any:
        calls.append(how)
        return real(*how)

    return call


def fields_of(thing: object, path: str = "loop", seen: set[int] | None = None) -> dict[str, object]:
    """Every field that can be reached from a part of the killer, by its path; tuples, arrays and memory as values."""
    seen = set() if seen is None else seen
    found: dict[str, object] = {}
    if id(thing) in seen:
        return found
    seen.add(id(thing))
    for name, value in vars(thing).items():
        where = f"{path}.{name}"
        if name in SCRATCH:
            continue
        if type(value).__module__.startswith("lmkd_py.") and not isinstance(value, (tuple, PollSet)):
            found.update(fields_of(value, where, seen))
        elif isinstance(value, PollSet):
            found[where] = bytes(value._array)
        elif isinstance(value, (array, memoryview)):
            found[where] = value.tobytes()
        elif name == "map":
            found[where] = bytes(value[:])
        elif isinstance(value, (list, tuple, dict, bytearray)):
            found[where] = repr(value)
        else:
            found[where] = value
    return found


@pytest.mark.parametrize("adj", [900, 100, 0])
@pytest.mark.parametrize("sized", [True, False])
def test_a_tick_changes_no_field_of_the_killer(killer: Killer, adj: int, sized: bool) -> None:
    killer.register(adj, sized)
    killer.poll_after_event()
    killer.warm.touch(MEDIUM_LEVEL)
    before = fields_of(killer.loop)
    killer.warm.tick(MEDIUM_LEVEL)
    after = fields_of(killer.loop)
    assert {name: (value, after[name]) for name, value in before.items() if after[name] != value} == {}
    assert after.keys() == before.keys()
    assert len(before) > 100
    assert not killer.domain.gone


def test_the_comparison_sees_what_an_evaluation_changes(killer: Killer) -> None:
    """The negative control, and that the same reads go into both."""
    killer.register(900, True)
    before = fields_of(killer.loop)
    killer.loop._evaluate(monotonic_ns(), EVENT, MEDIUM_LEVEL, ABSENT)
    after = fields_of(killer.loop)
    changed = {name.rpartition(".")[2] for name, value in before.items() if after[name] != value}
    assert changed >= {"state", "head", "map", "poll"}


def test_a_tick_reads_judges_and_goes_as_far_as_the_signal(killer: Killer, monkeypatch: pytest.MonkeyPatch) -> None:
    killer.register(900, True)
    reads: list[tuple[Any, ...]] = []
    touched: list[tuple[Any, ...]] = []
    striker = killer.evaluator.striker
    monkeypatch.setattr(killer.domain, "sample", heard(reads, killer.domain.sample))
    monkeypatch.setattr(striker, "touch", heard(touched, striker.touch))
    killer.warm.tick(MEDIUM_LEVEL)
    assert [how[1:3] for how in reads] == [(EVENT, MEDIUM_LEVEL)]
    assert touched == [(0,)]


@pytest.mark.parametrize("sized", [True, False])
def test_touching_sends_a_signal_that_nobody_notices_and_striking_one_that_kills(killer: Killer, sized: bool) -> None:
    killer.register(900, sized)
    striker, first = killer.evaluator.striker, killer.echoes[0]
    assert first.stdin is not None
    assert first.stdout is not None
    touched = striker.touch(0)
    assert touched.error == 0
    assert touched.rss_pages > 0
    first.stdin.write(b"still here\n")
    first.stdin.flush()
    assert first.stdout.readline() == b"still here\n"
    assert striker.strike(0).error == 0
    assert first.wait(10) == -9
    assert striker.touch(0).error == GONE


def test_nobody_ticks_while_nobody_polls(killer: Killer, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[tuple[Any, ...]] = []
    monkeypatch.setattr(killer.loop.polls, "wait", heard(waits, lambda timeout_ms: 0))
    monkeypatch.setattr(killer.warm, "tick", lambda level: pytest.fail("a tick"))
    killer.warm.event(monotonic_ns())
    for timeout_ms in (-1, 100):  # idle, and the wait for a victim's death
        assert killer.loop._wait(timeout_ms) == 0
    assert waits == [(-1,), (100,)]
    killer.poll_after_event()
    killer.loop.live = False
    killer.loop._wait(100)
    killer.loop.live = True
    killer.warm._until_ns = monotonic_ns()  # the second after the event is over
    killer.loop._wait(100)
    assert waits[2:] == [(100,), (100,)]


def test_a_poll_after_an_event_is_waited_for_with_ticks(killer: Killer, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[tuple[Any, ...]] = []
    monkeypatch.setattr(killer.warm, "tick", heard(levels, killer.warm.tick))
    killer.poll_after_event()
    began_ns = monotonic_ns()
    assert killer.loop._wait(100) == 0
    assert levels
    assert set(levels) == {(MEDIUM_LEVEL,)}
    assert monotonic_ns() - began_ns >= 99 * MS


def test_what_becomes_ready_ends_the_wait(killer: Killer, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[int] = []

    def fire(level: int) -> None:
        ticks.append(level)
        os.write(killer.triggers[0].fd, b"\1" + bytes(7))

    monkeypatch.setattr(killer.warm, "tick", fire)
    killer.poll_after_event()
    assert killer.loop._wait(1 << 30) == 1
    assert len(ticks) == 1


def test_an_event_makes_the_loop_tick(killer: Killer) -> None:
    os.write(killer.triggers[0].fd, b"\1" + bytes(7))
    ready = killer.loop.polls.wait(0)
    now_ns = monotonic_ns()
    assert killer.warm.wait_ms(now_ns) == -1
    killer.loop._handle(ready, now_ns)
    assert 0 <= killer.warm.wait_ms(now_ns) <= 2
    assert killer.warm.wait_ms(now_ns + 999 * MS) == -1  # the next one would be due behind the second


@given(st.lists(st.tuples(st.integers(1, 20 * MS), st.integers(0, 50 * MS)), min_size=1), st.integers(1, 100))
def test_ticks_stay_within_their_share_of_one_cpu(steps: list[tuple[int, int]], cpu_pct: int) -> None:
    """Whatever each takes and however late the next one is; the share of a second may be saved."""
    warm = WarmTick(None, 2, cpu_pct)  # type: ignore[arg-type]
    began_ns = now_ns = 10**15
    spent = 0
    for took, late in steps:
        now_ns = max(now_ns, warm._due_ns) + late
        warm.pay(now_ns, now_ns + took)
        now_ns += took
        spent += took
        assert warm._due_ns - now_ns >= 2 * MS
    share = (warm._due_ns - began_ns + SAVED_NS) * cpu_pct / 100
    assert spent <= share + len(steps) + 20 * MS


def test_a_cold_first_tick_does_not_keep_the_next_ones_away_but_ticks_that_stay_dear_come_less_often() -> None:
    warm = WarmTick(None, 2, 5)  # type: ignore[arg-type]
    now_ns = 10**15
    pauses = []
    for took in (500_000, *[100_000] * 500, *[500_000] * 500):
        warm.pay(now_ns, now_ns + took)
        pauses.append(warm._due_ns - now_ns - took)
        now_ns = warm._due_ns
    assert set(pauses[:500]) == {2 * MS}
    assert pauses[-1] == 500_000 * 19


def test_after_two_ticks_of_4_ms_there_are_none_for_ten_seconds() -> None:
    warm = WarmTick(None, 2, 5)  # type: ignore[arg-type]
    start_ns = 10**15
    for took in (4 * MS, 100_000, 4 * MS):  # interrupted twice, but not twice in a row
        warm.event(start_ns)
        warm.pay(start_ns - took, start_ns)
        assert warm.wait_ms(start_ns) == 2
    warm.pay(start_ns - 4 * MS, start_ns)
    assert warm.wait_ms(start_ns) == -1
    warm.event(start_ns + RETRY_NS - MS)
    assert warm.wait_ms(start_ns + RETRY_NS - MS) == 1
    warm.pay(start_ns + RETRY_NS - 4 * MS, start_ns + RETRY_NS)  # still so dear
    assert warm.wait_ms(start_ns + RETRY_NS) == -1


def test_there_are_no_ticks_on_one_cpu_nor_where_a_sample_allocates_nor_where_they_are_off() -> None:
    wanted = MONITORS[ARM_V2]
    domain = open_domain(wanted, str(TREES / ARM_V2))
    allocates = open_domain(MonitorConfig(domain=DomainConfig(DomainKind.SYSTEM)))
    cpus = os.sched_getaffinity(0)
    try:
        assert serves(wanted, domain) == (len(cpus) > 1)
        assert not serves(with_settings(wanted, guarantee={"warm_ms": 0}), domain)
        assert not serves(with_settings(wanted, guarantee={"warm_cpu_pct": 0}), domain)
        assert allocates.allocating()
        assert not serves(wanted, allocates)
        os.sched_setaffinity(0, {min(cpus)})
        assert not serves(wanted, domain)
    finally:
        os.sched_setaffinity(0, cpus)
        domain.close()
        allocates.close()
