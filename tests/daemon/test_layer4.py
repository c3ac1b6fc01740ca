"""Layer 4 as the loop uses it: open while anything is evaluated, never while it sleeps, two system calls a wakeup.

Here the window is a real node with real ioctls that change nothing; what the kernel makes of the flag is tested with
the module, on the board (tests/board/qemu/test_module.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.notes import Note
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.kernel.protection.memalloc import DEVICE
from lmkd_py.kernel.sensing.perf import EventCounter
from tests.daemon.driver import Daemon, Trace
from tests.daemon.exercise import Exerciser
from tests.support import needs_cgroup, require

pytestmark = needs_cgroup

IOCTLS = ("syscalls:sys_enter_ioctl",)
LAYER = 1 << 4


@pytest.fixture
def domain() -> Iterator[Sandbox]:
    """A domain that nobody lives in: only its event descriptors matter."""
    with Sandbox(limit_mib=64) as made:
        yield made


def run(domain: Sandbox, how: str, wakeups: int) -> tuple[int, dict[str, list[tuple[int, ...]]]]:
    """ioctls of the armed killer's deciding thread, and what the program saw."""
    with Exerciser(domain, how) as killer, EventCounter(IOCTLS, killer.killer_pid) as counter:
        killer.ask(f"wake {wakeups}", "woken")
        saw = killer.results()
        return counter.read()[0], saw


def test_a_wakeup_with_something_to_evaluate_costs_two_calls_and_sleeps_with_the_window_closed(domain: Sandbox) -> None:
    ioctls, saw = run(domain, "windowed", 2000)
    busy = saw["busy"][0][0]
    assert saw["exit"] == [(0,)], "it slept with the window open"
    assert busy >= 1000
    assert ioctls == 2 * busy
    assert all(mask & LAYER for mask in saw["layers"][0])


def test_an_armed_killer_with_a_window_takes_nothing_more_than_one_without(domain: Sandbox) -> None:
    with Exerciser(domain, "windowed") as killer:
        assert killer.count(2000) == {}


def test_a_window_that_is_refused_later_is_given_up_and_every_record_says_so(domain: Sandbox) -> None:
    ioctls, saw = run(domain, "refused", 200)
    assert saw["exit"] == [(0,)]
    assert ioctls == 1, "asked once more, and never again"
    assert not any(mask & LAYER for mask in saw["layers"][0])


def test_without_a_window_no_call_is_made(domain: Sandbox) -> None:
    require(not Path(DEVICE).exists(), f"a machine without {DEVICE}")
    ioctls, saw = run(domain, "steady", 200)
    assert ioctls == 0
    assert not any(mask & LAYER for mask in saw["layers"][0])


def test_a_daemon_without_the_module_says_so_in_its_header(
    board: Sandbox, start: Callable[..., Daemon], tmp_path: Path
) -> None:
    require(not Path(DEVICE).exists(), f"a machine without {DEVICE}")
    start(board).stop()
    header = Trace(tmp_path).headers[0]
    layer = next(layer for layer in header.layers if layer.number == 4)
    assert not layer.active
    assert layer.notes == (Note(kind=NoteKind.WINDOW_ABSENT, layer=4, subject=DEVICE),)
