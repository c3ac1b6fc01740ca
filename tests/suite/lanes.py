"""Which tests may run beside each other when there are workers (`make test`): one file at a time, two kinds in lanes.

An emulated board takes a CPU and more, so boards run one after the other: the lane `boards`. Real pressure in a memory
cgroup takes two CPUs, and some of those tests have deadlines: the lane `pressure`. A lane is one piece of work for one
worker; every other file is a piece of its own, for whichever worker has nothing to do.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.support import REPO_ROOT

BOARDS, PRESSURE = "boards", "pressure"
LAB = "lab_kernel"  # the fixture of tests that wait for the kernel that is being built meanwhile


@cache
def lane_of(path: str) -> str:
    """The lane of a file by its markers, else the file itself. `path` is relative to the checkout."""
    text = (REPO_ROOT / path).read_text() if (REPO_ROOT / path).is_file() else ""
    if "pytest.mark.board" in text:
        return BOARDS
    return PRESSURE if "pytest.mark.pressure" in text else path


def in_order(items: list[pytest.Item], for_workers: bool) -> list[pytest.Item]:
    """What waits for the lab kernel comes last, of its lane where there are workers.

    They take the long lanes first, so that the short files fill what is left.
    """

    def rank(item: pytest.Item) -> tuple[int, bool]:
        lane = lane_of(item.nodeid.partition("::")[0])
        return for_workers and (BOARDS, PRESSURE, lane).index(lane), LAB in getattr(item, "fixturenames", ())

    return sorted(items, key=rank)


def waits_for_lab(path: str) -> bool:
    """Whether tests of this file need the lab kernel."""
    return lane_of(path) == BOARDS and LAB in (REPO_ROOT / path).read_text()


def scheduler(config: pytest.Config, log: object) -> object:
    """What hands the lanes to the workers."""
    from xdist.scheduler import LoadScopeScheduling  # the payload's rooms are also tested where there is no xdist

    class Lanes(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return lane_of(nodeid.partition("::")[0])

    config.option.loadscopereorder = False
    return Lanes(config, log)


def room_of(nodeid: str) -> str:
    """The room of a test, for times and lists: its folder below tests/, emulated boards apart."""
    path = nodeid.partition("::")[0]
    parts = Path(path).parts[1:]
    room = parts[0] if len(parts) > 1 else "house"
    return f"{room}, emulated" if lane_of(path) == BOARDS else room
