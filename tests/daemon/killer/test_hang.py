"""All tasks of a domain wait in vain: a verdict without mercy, though nothing counts reclaim any more. A real memcg."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic_ns

import pytest

from lmkd_py.board import cgroups
from lmkd_py.core.config import make_policy
from lmkd_py.core.polling import victim_gone
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, Level, PolicyKind, WakeupKind
from lmkd_py.kernel.acting.poll import POLLIN
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.kernel.sensing.triggers import Trigger, fired, oom_control
from lmkd_py.kernel.sensing.triggers.trigger import LEVEL_FD
from lmkd_py.wire.record import Record
from tests.daemon.killer.looped import Looped
from tests.kernel.cgroups import HOG, Pen
from tests.support import wait_until

MS = 1_000_000
MEDIUM, CRITICAL = int(Level.MEDIUM), int(Level.CRITICAL)


class Hung(Looped):
    """A killer's loop that guards a memcg in which everybody waits; its oom_control event is up."""

    def __init__(self, pen: Pen) -> None:
        self.pen, self.hog = pen, pen.start(HOG)
        wait_until("it hangs", lambda: cgroups.keyed(str(pen.directory), "memory.oom_control", "under_oom"))
        domain = open_domain(pen.monitor)
        found, refused = oom_control.open_all(pen.monitor, domain)
        assert not refused
        super().__init__(domain, [Trigger("vmpressure medium", eventfd(), POLLIN, MEDIUM, LEVEL_FD, ""), *found])
        for _ in range(2):  # the reclaim that was in vain is counted here
            self.loop._evaluate(monotonic_ns(), WakeupKind.EVENT, MEDIUM, ABSENT)
        self.records()

    def merciless(self) -> list[Record]:
        return [record for record in self.records() if record.judgement.reason == KillReason.NOT_RESPONDING]


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
    began_ns = monotonic_ns()
    for after_ms in (0, 10, 99):
        hung.loop._poll(began_ns + after_ms * MS, MEDIUM)
        assert not hung.merciless(), "whoever waited may not have had time to run"
    hung.loop._poll(began_ns + 100 * MS, MEDIUM)
    (record,) = hung.merciless()
    assert record.judgement.min_adj == 0
    assert record.snapshot.level == CRITICAL
    assert hung.triggers[record.trigger].name == oom_control.V1


def test_once_nobody_was_there_to_strike_it_is_asked_again_only_when_somebody_comes(hung: Hung) -> None:
    assert fired(hung.triggers[1]) == CRITICAL
    began_ns = monotonic_ns()
    for after_ms in range(0, 1000, 100):
        hung.loop._poll(began_ns + after_ms * MS, MEDIUM)
    assert len(hung.merciless()) == 1
    hung.pair.add(0, adj=900)
    hung.pair.carry()
    hung.loop._poll(began_ns + 1000 * MS, MEDIUM)
    assert len(hung.merciless()) == 1


@pytest.mark.parametrize("kind", PolicyKind)
def test_an_event_while_a_victim_dies_strikes_nobody_once_it_is_dead(hung: Hung, kind: PolicyKind) -> None:
    hung.pair.inbox.policy = make_policy(kind=kind)
    loop = hung.loop
    loop.poll = loop.poll._replace(holding=1, paused=MEDIUM, struck_ms=monotonic_ns() // MS)
    before = loop.evaluator.hangs
    loop._handle(loop.polls.wait(0), monotonic_ns())
    assert loop.evaluator.hangs == before, "its memory comes back in parts, and each part wakes those who wait"
    hung.pen.stop(hung.hog)  # now all of it is back
    loop.poll = victim_gone(loop.poll, monotonic_ns() // MS)
    hung.records()
    loop._handle(0, monotonic_ns())
    assert [record.judgement.action for record in hung.records() if record.judgement.action == Action.KILL] == []
