"""All tasks of a domain wait in vain: a verdict without mercy, though nothing counts reclaim any more. A real memcg."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import monotonic_ns

import pytest

from lmkd_py.board import cgroups
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, Level, WakeupKind
from lmkd_py.daemon.killer.evaluate import Evaluator
from lmkd_py.daemon.killer.loop import Loop
from lmkd_py.daemon.killer.reaper import Reapers
from lmkd_py.daemon.killer.ring import Ring
from lmkd_py.daemon.killer.strike import Striker
from lmkd_py.daemon.killer.victim import Awaited
from lmkd_py.daemon.steward.filing.ring_reader import RingReader
from lmkd_py.kernel.acting.poll import POLLIN
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.kernel.sensing.triggers import Trigger, close_triggers, fired, oom_control
from lmkd_py.kernel.sensing.triggers.trigger import LEVEL_FD
from lmkd_py.wire.record import Record, unpack_record
from tests.daemon.pair import Pair
from tests.kernel.cgroups import HOG, Pen
from tests.support import wait_until

MEDIUM, CRITICAL = int(Level.MEDIUM), int(Level.CRITICAL)


class Hung:
    """A killer's loop that guards a memcg in which everybody waits; its oom_control event is up."""

    def __init__(self, pen: Pen) -> None:
        pen.start(HOG)
        wait_until("it hangs", lambda: cgroups.keyed(str(pen.directory), "memory.oom_control", "under_oom"))
        self.pair = Pair()
        self.notify = eventfd()
        self.domain = open_domain(pen.monitor)
        evaluator = Evaluator(
            self.domain, self.pair.inbox, Striker(self.pair.roster, (), observe=True),
            Awaited(self.pair.shared, Reapers()), Ring(self.pair.shared, self.notify), None,
        )  # fmt: skip
        found, refused = oom_control.open_all(pen.monitor, self.domain)
        assert not refused
        self.triggers = [Trigger("vmpressure medium", eventfd(), POLLIN, MEDIUM, LEVEL_FD, ""), *found]
        self.loop = Loop(self.pair.shared, evaluator, self.triggers, self.notify)
        self.loop.live = True
        self.reader = RingReader(self.pair.shared)
        for _ in range(2):  # the reclaim that was in vain is counted here
            self.loop._evaluate(monotonic_ns(), WakeupKind.EVENT, MEDIUM, ABSENT)
        self.records()

    def records(self) -> list[Record]:
        found = [unpack_record(data) for data in self.reader.take()]
        self.reader.settle()
        return found

    def merciless(self) -> list[Record]:
        return [record for record in self.records() if record.judgement.reason == KillReason.NOT_RESPONDING]

    def close(self) -> None:
        close_triggers(self.triggers)
        os.close(self.notify)
        self.domain.close()
        self.pair.close()


@pytest.fixture
def hung() -> Iterator[Hung]:
    with Pen("hang") as pen:
        made = Hung(pen)
        yield made
        made.close()


def test_an_event_right_behind_the_wakeup_that_counted_the_reclaim_is_a_verdict(hung: Hung) -> None:
    hung.loop._handle(hung.loop.polls.wait(0), monotonic_ns())
    (record,) = hung.merciless()
    assert record.judgement.action == Action.KILL
    assert record.judgement.min_adj == 0
    assert hung.triggers[record.trigger].name == oom_control.V1


def test_polls_that_find_it_hanging_give_the_lost_event_anew(hung: Hung) -> None:
    assert fired(hung.triggers[1]) == CRITICAL  # it came while a victim was dying, say
    hung.loop._poll(monotonic_ns(), MEDIUM)
    assert not hung.merciless(), "whoever waited has not had time to run"
    hung.loop._poll(monotonic_ns(), MEDIUM)
    (record,) = hung.merciless()
    assert record.judgement.min_adj == 0
    assert record.snapshot.level == CRITICAL
    assert hung.triggers[record.trigger].name == oom_control.V1
