"""What is told of a victim before it is dead."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lmkd_py.core.snapshot import REAPED
from lmkd_py.daemon.killer.reaper import Job, Reapers
from lmkd_py.daemon.killer.victim import Awaited
from tests.daemon.pair import Pair


class Waiting(Reapers):
    """A reaper that does what the test does."""

    def __init__(self) -> None:
        self.jobs = [Job()]

    @property
    def job(self) -> Job:
        return self.jobs[0]

    def done(self, result: int) -> None:
        self.job.reap_ns, self.job.result = 1000, result
        self.job.tokens.pop()
        self.job.busy = 0


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@pytest.mark.parametrize(("result", "alive"), [(0, REAPED), (-11, 1), (-3, 1)])
def test_a_victim_is_reaped_when_the_kernel_has_said_so(pair: Pair, result: int, alive: int) -> None:
    reapers = Waiting()
    awaited = Awaited(pair.shared, reapers)
    assert awaited.alive() == 0
    awaited.begin(77, 1, os.open("/dev/null", os.O_RDONLY), True, 1)
    assert awaited.alive() == 1
    reapers.done(result)
    assert awaited.alive() == alive
    awaited.died(2)
    assert awaited.alive() == 0


def test_in_observe_mode_nobody_is_reaped(pair: Pair) -> None:
    awaited = Awaited(pair.shared, Waiting())
    awaited.begin(77, 1, -1, False, 1)
    assert awaited.alive() == 1
