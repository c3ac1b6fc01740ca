"""Which tests may run beside each other when there are workers (`make test`): one file at a time, two kinds in lanes.

An emulated board takes a CPU and more, so boards run one after the other: the lane `boards`. Real pressure in a memory
cgroup takes two CPUs, and some of those tests have deadlines: the lane `pressure`. A lane is one piece of work for one
worker. What else is in a file is a piece of its own, for whichever worker has nothing to do.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support import REPO_ROOT

BOARDS, PRESSURE = "boards", "pressure"
LAB = "lab_kernel"  # the fixture of tests that wait for the kernel that is being built meanwhile
ALL_TESTS = "*"


def lane_of(nodeid: str) -> str:
    """The lane of a test by its markers, else its file. Files are relative to the checkout."""
    path, _, test = nodeid.partition("::")
    if _is_board(path):
        return BOARDS
    return PRESSURE if {ALL_TESTS, test.partition("[")[0]} & _under_pressure(path) else path


def _text(path: str) -> str:
    file = REPO_ROOT / path
    return file.read_text() if file.is_file() else ""


@cache
def _is_board(path: str) -> bool:
    return "pytest.mark.board" in _text(path)


@cache
def _under_pressure(path: str) -> frozenset[str]:
    """Names of the tests of a file that have the marker `pressure`, by itself or under another name."""
    text = _text(path)
    if "pytest.mark.pressure" not in text:
        return frozenset()
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node).startswith("pytestmark ="):
            found |= {ALL_TESTS} if "pressure" in ast.unparse(node) else set()
        elif isinstance(node, ast.FunctionDef) and any("pressure" in ast.unparse(each) for each in node.decorator_list):
            found.add(node.name)
    return frozenset(found)


def in_order(items: list[pytest.Item], for_workers: bool) -> list[pytest.Item]:
    """What waits for the lab kernel comes last, of its lane where there are workers.

    They take the long lanes first, so that the short files fill what is left.
    """

    def rank(item: pytest.Item) -> tuple[int, bool]:
        lane = lane_of(item.nodeid)
        return for_workers and (BOARDS, PRESSURE, lane).index(lane), LAB in getattr(item, "fixturenames", ())

    return sorted(items, key=rank)


def waits_for_lab(path: str) -> bool:
    """Whether tests of this file need the lab kernel."""
    return _is_board(path) and LAB in _text(path)


def scheduler(config: pytest.Config, log: object) -> object:
    """What hands the lanes to the workers."""
    from xdist.scheduler import LoadScopeScheduling  # the payload's rooms are also tested where there is no xdist

    class Lanes(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return lane_of(nodeid)

    config.option.loadscopereorder = False
    return Lanes(config, log)


def room_of(nodeid: str) -> str:
    """The room of a test, for times and lists: its folder below tests/, emulated boards apart."""
    path = nodeid.partition("::")[0]
    parts = Path(path).parts[1:]
    room = parts[0] if len(parts) > 1 else "house"
    return f"{room}, emulated" if _is_board(path) else room
