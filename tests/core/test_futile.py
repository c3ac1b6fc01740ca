"""Kills that free nothing end in a pause, and whatever frees memory ends the count."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import judge
from lmkd_py.core.decision import Judgement
from lmkd_py.core.futile import HOLD_MAX_MS, HOLD_MIN_MS
from lmkd_py.core.numbers import SLOW, START
from lmkd_py.core.snapshot import NO_OUTCOME, Outcome
from lmkd_py.core.state import PolicyState
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, PolicyKind, WakeupKind

from .test_decide import T0, settled
from .values import AOSP, DEFAULTS, make_snapshot

SHORT_KB = 16_000  # below min
VICTIM_KB = 40_000


class Machine:
    """Short of memory all the time; every verdict is carried out, and each death frees `frees_kb`."""

    def __init__(self, config: PolicyConfig = DEFAULTS, frees_kb: int = 0, dies_ms: int = 5) -> None:
        self.config = config
        self.frees_kb = frees_kb
        self.dies_ms = dies_ms
        self.now_ms = 0
        self.free_kb = SHORT_KB
        self.state: PolicyState = settled()
        self.outcome = NO_OUTCOME
        self.dead_at = -1
        self.kills: list[int] = []
        self.swap_free_kb = 100_000

    def wake(self, pause_ms: int = 10, kind: int = WakeupKind.POLL, **changes: int) -> Judgement:
        self.now_ms += pause_ms
        if 0 <= self.dead_at <= self.now_ms:
            self.dead_at = -1
            self.free_kb += self.frees_kb
        values = {
            "now_ms": T0 + self.now_ms, "kind": kind, "mem_free_kb": self.free_kb, "swap_free_kb": self.swap_free_kb,
            "kswapd_progress": 1000 + self.now_ms, "victim_alive": int(self.dead_at >= 0), **changes,
        }  # fmt: skip
        judgement = judge(make_snapshot(outcome=self.outcome, **values), self.state, self.config)
        self.state, self.outcome = judgement.state, NO_OUTCOME
        if judgement.action == Action.KILL:
            self.outcome = Outcome(50, 900, VICTIM_KB // 4, T0 + self.now_ms, 0, 1)
            self.dead_at = self.now_ms + self.dies_ms
            self.kills.append(self.now_ms)
        return judgement

    def run(self, until_ms: int) -> list[int]:
        while self.now_ms < until_ms:
            self.wake()
        return self.kills


def test_after_three_kills_that_freed_nothing_nobody_is_killed_for_a_second() -> None:
    machine = Machine()
    kills = machine.run(900)
    assert len(kills) == 3
    held = machine.wake()
    assert (held.action, held.min_adj) == (Action.HELD, ABSENT)
    assert held.reason in (KillReason.PRESSURE_AFTER_KILL, KillReason.LOW_MEM_AND_SWAP, KillReason.LOW_MEM)
    assert held.poll_request == SLOW | START
    assert machine.state.futile_kills == 3


def test_the_pause_doubles_with_each_further_kill_and_is_bounded() -> None:
    machine = Machine()
    kills = machine.run(400_000)
    pauses = [after - before for before, after in pairwise(kills[2:])]
    wanted = [HOLD_MIN_MS << step for step in range(7)]
    assert [pause // 1000 for pause in pauses[:7]] == [pause // 1000 for pause in wanted]
    assert wanted[-1] == HOLD_MAX_MS
    assert all(pause // 1000 == HOLD_MAX_MS // 1000 for pause in pauses[6:])
    assert len(pauses) > 8


def test_kills_that_free_a_quarter_are_never_held_back() -> None:
    machine = Machine(frees_kb=VICTIM_KB // 4)
    for _ in range(20):
        machine.free_kb = SHORT_KB
        while machine.wake().action != Action.KILL:
            machine.free_kb -= 10_000
        machine.wake(20)
        assert machine.state.futile_kills == 0


def test_a_little_less_than_a_quarter_is_nothing() -> None:
    machine = Machine(frees_kb=0)
    machine.run(15)
    machine.free_kb = SHORT_KB + VICTIM_KB // 4 - 8
    machine.run(250)
    assert machine.state.futile_kills >= 2


def test_swap_that_became_free_counts() -> None:
    machine = Machine()
    machine.run(15)
    machine.swap_free_kb += VICTIM_KB // 4
    machine.wake()
    assert machine.state.victim_kb == 0
    assert machine.state.futile_kills == 0


def test_memory_that_really_became_free_ends_the_pause() -> None:
    machine = Machine()
    machine.run(900)
    assert machine.wake().action == Action.HELD
    machine.free_kb += 3 * VICTIM_KB // 4
    assert machine.wake().state.futile_kills == 0
    machine.free_kb = SHORT_KB
    assert machine.wake().action == Action.KILL


def test_a_little_noise_during_the_pause_does_not_end_it() -> None:
    machine = Machine()
    machine.run(900)
    machine.free_kb += 3 * VICTIM_KB // 4 - 8
    assert machine.wake().state.futile_kills == 3


def test_a_victim_that_does_not_die_is_no_futile_kill() -> None:
    machine = Machine(dies_ms=10**9)
    assert len(machine.run(2000)) > 10
    assert machine.state.futile_kills == 0


def test_a_victim_of_unknown_size_is_not_judged() -> None:
    machine = Machine()
    for _ in range(10):
        machine.wake()
        if machine.outcome.pid:
            machine.outcome = machine.outcome._replace(rss_pages=ABSENT)
    assert machine.state.futile_kills == 0


def test_its_swap_is_part_of_its_size() -> None:
    machine = Machine()
    while not machine.outcome.pid:
        machine.wake()
    machine.outcome = machine.outcome._replace(swap_pages=VICTIM_KB // 4)
    machine.wake()
    assert machine.state.futile_kb == 2 * VICTIM_KB


def test_a_victim_that_had_a_quarter_for_itself_is_no_futile_kill() -> None:
    """Somebody else takes what it gave back before anybody looks: that is a hog, and no reason to stop."""
    for shared_pages, held in ((VICTIM_KB // 4 * 3 // 4, False), (VICTIM_KB // 4 * 3 // 4 + 1, True)):
        machine = Machine()
        for _ in range(60):
            machine.wake()
            machine.outcome = machine.outcome._replace(shared_pages=shared_pages)
        assert (machine.state.futile_kills == 3) == held
        assert (len(machine.kills) == 3) == held


def test_one_that_freed_something_for_certain_ends_the_row() -> None:
    machine = Machine()
    machine.run(35)
    assert machine.state.futile_kills > 0
    while not machine.outcome.pid:
        machine.wake()
    machine.outcome = machine.outcome._replace(shared_pages=0)
    machine.wake()
    assert machine.state.futile_kills == 0


def test_the_pause_can_be_switched_off_and_aosp_has_none() -> None:
    for config in (DEFAULTS._replace(futile_kills_max=0), AOSP):
        machine = Machine(config)
        assert len(machine.run(2000)) > 10
        assert machine.state[24:] == settled()[24:]


def test_a_vendor_request_is_not_held_back() -> None:
    machine = Machine()
    machine.run(900)
    asked = machine.wake(kind=WakeupKind.VENDOR, level=ABSENT, vendor_reason=3, vendor_min_adj=900)
    assert asked.action == Action.KILL


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 30_000)), min_size=1, max_size=80),
    st.integers(0, 20_000),
)
def test_held_means_that_enough_in_a_row_freed_nothing(most: int, steps: list[tuple[int, int]], frees_kb: int) -> None:
    config = PolicyConfig(kind=PolicyKind.AOSP_MENDED, futile_kills_max=most)
    machine = Machine(config, frees_kb)
    for pause_ms, free_kb in steps:
        before = machine.state
        machine.free_kb = free_kb
        judgement = machine.wake(pause_ms)
        after = judgement.state
        assert (judgement.action == Action.HELD) <= (after.futile_kills >= most)
        assert (judgement.action == Action.HELD) <= (T0 + machine.now_ms < after.held_until_ms)
        assert 0 <= after.hold_ms <= HOLD_MAX_MS
        assert after.futile_kills in (0, before.futile_kills, before.futile_kills + 1)
        assert (after.hold_ms > 0) == (after.futile_kills >= most)
