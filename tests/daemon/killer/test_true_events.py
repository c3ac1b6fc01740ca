"""An event that the PSI totals do not bear out strikes nobody, and hides no other; a scripted PSI file and clock."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.core.config import MonitorConfig
from lmkd_py.core.vocabulary import Action, KillReason, Level, WakeupKind
from lmkd_py.daemon.killer import evaluate
from lmkd_py.kernel.acting.poll import POLLIN
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.kernel.sensing.triggers import StallMeter, Trigger
from lmkd_py.kernel.sensing.triggers.trigger import EVENTFD, LEVEL_FD
from lmkd_py.wire.record import Record
from tests.daemon.killer.looped import Looped
from tests.kernel.trees import TREES

SOME, FULL, OOM = 0, 1, 2  # indexes of the triggers below
MEDIUM, CRITICAL = int(Level.MEDIUM), int(Level.CRITICAL)
BASE_US = 10**10  # stall since boot: what the kernel takes for the first growth of an unprivileged trigger


class Stage(Looped):
    """A killer's loop around a captured /proc, with PSI triggers that the test fires."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copytree(TREES / "x86-no-swap-v1", root)
        self.root = root
        self.now_ms = 1_000_000
        self.scanned = 0
        monkeypatch.setattr(evaluate, "monotonic_ns", lambda: self.now_ms * 1_000_000)
        self.some_us = self.full_us = 0
        self.stall(BASE_US, BASE_US)
        domain = open_domain(MonitorConfig(), str(root))
        meter = StallMeter(1000, 70, 700, 2000)
        meter.begin(self.now_ms, *domain.stall_totals())
        triggers = [
            Trigger("psi some", eventfd(), POLLIN, MEDIUM, LEVEL_FD, "", (), 1, None, 140_000, 2000),
            Trigger("psi full", eventfd(), POLLIN, CRITICAL, LEVEL_FD, "", (), 1, None, 1_400_000, 2000),
            Trigger("oom_events", eventfd(), POLLIN, CRITICAL, EVENTFD, ""),
        ]  # fmt: skip
        super().__init__(domain, triggers, meter)

    def stall(self, some_us: int, full_us: int) -> None:
        """Tasks stall by so much more; something is reclaimed, too, or nothing would be looked at."""
        self.some_us += some_us
        self.full_us += full_us
        path = self.root / "proc/pressure/memory"
        averages = "avg10=0.00 avg60=0.00 avg300=0.00"
        text = f"some {averages} total={self.some_us}\nfull {averages} total={self.full_us}\n"
        path.write_text(text)
        self.scanned += 1000
        vmstat = self.root / "proc/vmstat"
        lines = vmstat.read_text().splitlines()
        lines = [f"pgscan_kswapd {self.scanned}" if line.startswith("pgscan_kswapd ") else line for line in lines]
        vmstat.write_text("\n".join(lines) + "\n")

    def fire(self, *indexes: int) -> None:
        """These triggers come up in one wakeup; the loop handles it."""
        one = (1).to_bytes(8, "little")
        for index in indexes:
            os.write(self.triggers[index].fd, one)
        ready = self.loop.polls.wait(0)
        if self.loop.live:
            self.loop._handle(ready, self.now_ms * 1_000_000)
        else:
            self.loop._stand_by(ready)
        for index in indexes:
            if self.triggers[index].drain == LEVEL_FD:  # as the kernel does once it was polled
                os.read(self.triggers[index].fd, 8)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path / "root", monkeypatch)
    yield made
    made.close()


def reasons(records: list[Record]) -> list[int]:
    return [record.judgement.reason for record in records if record.judgement.action == Action.KILL]


def test_the_first_event_with_a_tiny_stall_strikes_nobody(stage: Stage) -> None:
    stage.now_ms += 1900
    stage.stall(18_000, 300)
    stage.fire(SOME, FULL)
    records = stage.records()
    assert reasons(records) == []
    assert (records[0].trigger, records[0].snapshot.kind) == (FULL, WakeupKind.EVENT)
    assert (records[0].snapshot.event_stall_us, records[0].snapshot.event_threshold_us) == (300, 1_400_000)
    assert stage.loop.poll.handler > 0  # and something is looked at for a second


def test_nor_does_the_second_one_a_window_later(stage: Stage) -> None:
    for _ in range(3):
        stage.now_ms += 2000
        stage.stall(18_000, 300)
        stage.fire(FULL)
    assert reasons(stage.records()) == []


def test_a_full_stall_right_after_arming_is_answered_at_the_first_event(stage: Stage) -> None:
    stage.now_ms += 800
    stage.stall(790_000, 750_000)
    stage.fire(SOME, FULL)
    (record,) = stage.records()
    assert record.judgement.reason == KillReason.NOT_RESPONDING
    assert (record.snapshot.event_stall_us, record.snapshot.event_threshold_us) == (750_000, 700_000)


def test_a_stall_that_goes_on_after_an_early_event_does_not_wait_for_the_kernels_next_one(stage: Stage) -> None:
    stage.now_ms += 300
    stage.stall(300_000, 300_000)
    stage.fire(FULL)
    assert reasons(stage.records()) == []
    while not reasons(found := stage.records()):
        stage.now_ms += 100
        assert stage.now_ms < 1_002_000, "the totals were not read"
        stage.stall(100_000, 100_000)
        stage.loop._handle(0, stage.now_ms * 1_000_000)
    assert reasons(found) == [KillReason.NOT_RESPONDING]
    assert stage.now_ms <= 1_000_800
    assert found[-1].trigger == stage.evaluator.meter_index
    snapshot = found[-1].snapshot
    assert (snapshot.kind, snapshot.metered_level) == (WakeupKind.POLL, CRITICAL)  # what woke it is not rewritten
    assert snapshot.event_stall_us >= snapshot.event_threshold_us == 700_000


def test_totals_that_jump_strike_nobody(stage: Stage) -> None:
    stage.now_ms += 100
    stage.stall(10, 0)
    stage.fire(SOME)
    stage.now_ms += 100
    stage.stall(4_294_967, 4_294_967)
    stage.fire(SOME, FULL)
    stage.now_ms += 5000
    stage.stall(4_294_967, 4_294_967)
    stage.fire(SOME, FULL)
    assert reasons(stage.records()) == []


def test_an_event_that_is_not_true_hides_no_other(stage: Stage) -> None:
    stage.now_ms += 1900
    stage.stall(18_000, 300)
    stage.fire(FULL, OOM)
    (record,) = stage.records()
    assert (record.trigger, record.judgement.reason) == (OOM, KillReason.NOT_RESPONDING)


def test_aosps_policy_believes_it(stage: Stage) -> None:
    stage.pair.inbox.policy = stage.pair.inbox.policy._replace(kind=1)
    stage.now_ms += 1900
    stage.stall(18_000, 300)
    stage.fire(FULL)
    assert reasons(stage.records()) == [KillReason.NOT_RESPONDING]


@pytest.mark.parametrize(("full_us", "expected"), [(300, []), (1_600_000, [KillReason.NOT_RESPONDING])])
def test_an_event_in_stand_by_counts_when_going_live_only_if_it_is_true(
    stage: Stage, full_us: int, expected: list[int]
) -> None:
    stage.loop.live = False
    stage.now_ms += 1900
    stage.stall(full_us, full_us)
    stage.fire(SOME, FULL)
    assert stage.records() == []
    stage.loop._go_live(stage.now_ms * 1_000_000)
    assert reasons(stage.records()) == expected


def test_a_true_event_in_stand_by_is_forgotten_once_its_stall_is_over(stage: Stage) -> None:
    stage.loop.live = False
    stage.now_ms += 1900
    stage.stall(1_600_000, 1_600_000)
    stage.fire(FULL)
    stage.now_ms += 5000
    stage.stall(100, 100)
    stage.loop._go_live(stage.now_ms * 1_000_000)
    assert reasons(stage.records()) == []
