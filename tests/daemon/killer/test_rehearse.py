"""The dry run: what an armed killer may come to has run before, and nothing of it is left."""

from __future__ import annotations

import dis
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import pytest

from lmkd_py.core.config import MonitorConfig
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.killer import ring
from lmkd_py.daemon.killer.rehearse import rehearse
from lmkd_py.daemon.shared import RING_HEAD, RING_OFFSET, SKIPPED
from lmkd_py.wire.record import NONE_LEFT_OUT
from tests.daemon.killer.test_warm import Killer


@pytest.fixture
def killer() -> Iterator[Killer]:
    """One that strikes nobody, as it is before it is armed."""
    made = Killer(observe=True)
    made.evaluator.striker.never = (os.getpid(),)
    made.evaluator.ring.trace_every = MonitorConfig().trace.every
    yield made
    made.close()


def functions(module: Any) -> Iterator[CodeType]:
    for _, member in inspect.getmembers(module):
        if inspect.isfunction(member) and member.__module__ == module.__name__:
            yield member.__code__
        elif inspect.isclass(member) and member.__module__ == module.__name__:
            for each in vars(member).values():
                function = each.fget if isinstance(each, property) else each
                if inspect.isfunction(function) and function.__name__ != "__init__":
                    yield function.__code__


def lines_run(code: set[CodeType], action: Callable[[], None]) -> set[tuple[str, int]]:
    """Function and line of all that was run of this code."""
    seen = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code not in code:
            return None
        if event == "line":
            seen.add((frame.f_code.co_name, frame.f_lineno))
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(former)
    return seen


def test_every_line_of_the_ring_has_run_before_the_killer_is_armed(killer: Killer) -> None:
    code = set(functions(ring))
    wanted = {(each.co_name, line) for each in code for _, line in dis.findlinestarts(each) if line}
    wanted -= {(each.co_name, each.co_firstlineno) for each in code}
    missing = wanted - lines_run(code, lambda: rehearse(killer.loop))
    assert not missing


def test_the_dry_run_leaves_the_ring_as_new(killer: Killer) -> None:
    fresh = vars(ring.Ring(killer.pair.shared, killer.notify, MonitorConfig().trace.every))
    rehearse(killer.loop)
    assert vars(killer.evaluator.ring) == fresh
    assert killer.evaluator.ring.left_out() == NONE_LEFT_OUT
    words = killer.pair.shared.words
    assert [words[each] for each in (RING_HEAD, SKIPPED, layout.STRIKING_PID)] == [0, 0, 0]
    assert not any(killer.pair.shared.map[RING_OFFSET:])
