"""How often the steward is woken while nobody is struck."""

from __future__ import annotations

import itertools
from time import monotonic_ns

import pytest

from lmkd_py.core.vocabulary import ABSENT, Level, WakeupKind
from lmkd_py.daemon.killer.ring import NOTIFY_MS
from tests.daemon.killer import test_left_out
from tests.daemon.killer.test_left_out import POLL, Ringed
from tests.daemon.killer.test_warm import Killer as Armed

ringed = test_left_out.ringed


def test_while_nobody_is_struck_the_steward_is_woken_once_a_second(ringed: Ringed) -> None:
    """What it does while memory is short (sizes, kills by the kernel) hangs on no record, and takes CPU from others."""
    ring = ringed.ring
    ring.trace_every = 1000
    woken: list[int] = []
    for _ in range(5 * NOTIFY_MS // 100):
        ringed.killer.wake(100, **POLL)
        if ring.is_due(ringed.paper.now_ms):
            woken.append(ringed.paper.now_ms)
            ring.notify()
            ringed.published()
    assert [later - sooner for sooner, later in itertools.pairwise(woken)] == [NOTIFY_MS + 100] * (len(woken) - 1)
    assert len(woken) == 4


def test_before_the_ring_is_full_the_steward_is_woken(ringed: Ringed) -> None:
    ring = ringed.ring
    ring.trace_every = 1
    filled = 0
    while not ring.is_due(ringed.paper.now_ms):
        ringed.killer.wake(0, **POLL)
        filled += 1
    assert 0 < filled < ringed.pair.shared.ring_slots // 2
    assert not ring.skipped


def test_an_evaluation_that_strikes_nobody_wakes_the_steward_when_that_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    armed = Armed()
    notified: list[int] = []
    ring = armed.evaluator.ring
    monkeypatch.setattr(ring, "notify", lambda: notified.append(ring.head))
    for due in (False, True):
        monkeypatch.setattr(ring, "is_due", lambda now_ms, due=due: due)
        armed.loop._evaluate(monotonic_ns(), WakeupKind.POLL, Level.MEDIUM, ABSENT)
        assert bool(notified) == due
    armed.close()
