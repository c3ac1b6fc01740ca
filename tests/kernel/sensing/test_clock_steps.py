"""A step of the clock makes the timer's descriptor readable, once; else it is quiet."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

from lmkd_py.kernel.sensing.clock_steps import ClockSteps, both_clocks
from tests.support import require


@pytest.fixture
def steps() -> Iterator[ClockSteps]:
    made = ClockSteps()
    yield made
    made.close()
    assert made.fd == -1


def is_up(steps: ClockSteps, patience_ms: int) -> bool:
    poller = select.poll()
    poller.register(steps.fd, select.POLLIN)
    return bool(poller.poll(patience_ms))


def test_without_a_step_it_is_quiet(steps: ClockSteps) -> None:
    assert steps.fd >= 0
    assert not is_up(steps, 50)
    assert not steps.stepped()


@pytest.mark.root("sets the clock, by nothing")
def test_a_step_is_seen_once_and_so_is_the_next(steps: ClockSteps) -> None:
    """Setting the clock to the time it has is a step to the kernel: it cancels such timers."""
    for _ in range(2):
        try:
            time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME))
        except PermissionError:
            require(False, "CAP_SYS_TIME: the clock cannot be set here")
        assert is_up(steps, 5000)
        assert steps.stepped()
        assert not is_up(steps, 50)
        assert not steps.stepped()


def test_both_clocks_are_of_one_instant() -> None:
    before = time.monotonic_ns()
    monotonic_ns, realtime_ns = both_clocks()
    assert before <= monotonic_ns <= time.monotonic_ns()
    distance_ns = time.time_ns() - time.monotonic_ns()
    assert abs(realtime_ns - monotonic_ns - distance_ns) < 1_000_000_000


def test_the_descriptor_is_not_inherited(steps: ClockSteps) -> None:
    assert not os.get_inheritable(steps.fd)
