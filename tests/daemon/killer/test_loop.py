"""The killer's loop by itself: what one wakeup must not lose to the next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import monotonic_ns

import pytest

from lmkd_py.core.config import MonitorConfig, make_policy
from lmkd_py.core.vocabulary import Level, PolicyKind
from lmkd_py.daemon.killer.evaluate import Evaluator
from lmkd_py.daemon.killer.loop import TRIGGER_SLOT, Loop
from lmkd_py.daemon.killer.reaper import Reapers
from lmkd_py.daemon.killer.ring import Ring
from lmkd_py.daemon.killer.strike import Striker
from lmkd_py.daemon.killer.victim import Awaited
from lmkd_py.kernel.acting.poll import POLLIN
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.bpf import AttachedProgram
from lmkd_py.kernel.bpf.layout import FREE_PAGES
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.kernel.sensing.triggers.bpf_kick import KickWatch
from lmkd_py.kernel.sensing.triggers.trigger import ANSWERED, LEVEL_FD, Trigger, close_triggers
from tests.daemon.pair import Pair
from tests.daemon.steward.killers.bench import PaperGuard

MEDIUM = int(Level.MEDIUM)


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Of an armed killer in stand-by that has candidates of nobody, an event trigger and one that is answered."""
    pair = Pair()
    domain = open_domain(MonitorConfig())
    notify = eventfd()
    awaited = Awaited(pair.shared, Reapers())
    striker = Striker(pair.roster, (), observe=True)
    evaluator = Evaluator(domain, pair.inbox, striker, awaited, Ring(pair.shared, notify), None)
    triggers = [
        Trigger("event", eventfd(), POLLIN, MEDIUM, LEVEL_FD, ""),
        Trigger("kick", eventfd(), POLLIN, MEDIUM, ANSWERED, ""),
    ]
    yield Loop(pair.shared, evaluator, triggers, notify)
    close_triggers(triggers)
    os.close(notify)
    domain.close()
    pair.close()


def test_going_live_keeps_what_fired_in_the_same_wakeup(loop: Loop) -> None:
    os.write(loop.triggers[0].fd, b"\1" + bytes(7))
    assert loop.polls.wait(0) == 1
    loop._go_live(0)
    assert loop.polls.revents(TRIGGER_SLOT) == POLLIN


def kicked(loop: Loop, now_ms: int) -> int:
    """How many evaluations a wakeup by the kick comes to."""
    before = loop.evaluator.ring.seq
    os.write(loop.triggers[1].fd, b"\1" + bytes(7))
    loop._handle(loop.polls.wait(0), now_ms * 1_000_000)
    os.read(loop.triggers[1].fd, 8)
    return loop.evaluator.ring.seq - before


def test_a_kick_is_no_evaluation_more_while_the_killer_polls_anyway(loop: Loop) -> None:
    loop._go_live(0)
    assert kicked(loop, monotonic_ns() // 1_000_000) == 1
    begun_ms = loop.poll.last_ms
    assert loop.poll.handler == MEDIUM
    assert [kicked(loop, begun_ms + after_ms) for after_ms in (1, 25, 50, 99)] == [0, 0, 0, 0]
    assert loop.poll.start_ms == begun_ms + 99, "it polls for a second from the last kick on"
    assert kicked(loop, begun_ms + 100) >= 1


@pytest.mark.parametrize("kind", PolicyKind)
def test_a_kick_is_evaluated_at_once_where_free_memory_fell_below_a_watermark(loop: Loop, kind: PolicyKind) -> None:
    """It waited for the next poll, up to 75 ms, though the kernel had told what was free."""
    loop.inbox.policy = make_policy(kind=kind)
    guard = PaperGuard(AttachedProgram(1, -1, -1, -1, -1, (), ()))
    loop.triggers[1] = loop.triggers[1]._replace(watch=KickWatch(guard))
    loop._go_live(0)
    assert kicked(loop, monotonic_ns() // 1_000_000) == 1
    state, begun_ms = loop.evaluator.state, loop.poll.last_ms
    # This machine's own free memory is as it is; the marks are what the test moves.
    assert loop.evaluator.seen is not None
    free_pages = loop.evaluator.seen.mem_free_kb // loop.evaluator.seen.page_kb
    loop.evaluator.state = state._replace(
        watermark_min_pages=free_pages // 4, watermark_low_pages=free_pages // 3, watermark_high_pages=free_pages // 2
    )
    for told, evaluations in ((0, 0), (free_pages - 1, 0), (free_pages // 2 + 1, 0), (free_pages // 2 - 1, 1)):
        guard.words[FREE_PAGES] = told
        assert kicked(loop, begun_ms + 25) == evaluations
    guard.close()


def test_a_trigger_that_is_answered_waits_until_the_killer_is_live(loop: Loop) -> None:
    os.write(loop.triggers[1].fd, b"\1" + bytes(7))
    assert loop.polls.wait(0) == 0
    loop._go_live(0)
    assert loop.polls.wait(0) == 1
