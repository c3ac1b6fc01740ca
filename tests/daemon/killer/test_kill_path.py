"""Between trigger and SIGKILL, and between one kill and the next, the killer takes nothing from the kernel.

Counted from outside on the killer's own deciding thread, over live kills in a thrashing domain.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.kernel.sensing.perf import ALLOCATION_EVENTS, RECLAIM_EVENTS, EventCounter
from tests.daemon.driver import Daemon, Trace, wait_until

pytestmark = [pytest.mark.pressure, pytest.mark.slow]
Start = Callable[..., Daemon]

FORBIDDEN = tuple(
    f"syscalls:sys_enter_{name}"
    for name in (
        *("mmap", "munmap", "brk", "madvise", "mremap", "openat", "clone", "clone3"),
        *("sendmsg", "sendto", "socket", "execve", "getdents64", "epoll_ctl"),
    )
)


def counted(board: Sandbox, daemon: Daemon, kills: int) -> dict[str, int]:
    events = (*ALLOCATION_EVENTS, *RECLAIM_EVENTS, *FORBIDDEN)
    with EventCounter(events, daemon.killer_pid) as counter:
        wait_until(f"{kills} kills", lambda: sum(not app.is_alive() for app in board.apps) >= kills, 60)
    return {event: count for event, count in zip(events, counter.counts, strict=True) if count}


def test_fifty_kills_in_a_thrashing_domain_allocate_nothing(board: Sandbox, start: Start, tmp_path: Path) -> None:
    for number in range(70):
        board.start_app(f"cached-{900 + number}", 900 + number, 2.5)
    daemon = start(board, policy=PolicyConfig(futile_kills_max=0))  # thrashers take at once what a kill frees
    board.start_thrashers(2, adj=0)
    board.start_hog(0, 20, limit_mib=150)
    assert counted(board, daemon, 50) == {}
    board.stop_pressure()
    assert daemon.stop() == 0
    assert len(Trace(tmp_path).kills) >= 50


def test_the_count_sees_a_daemon_that_allocates(board: Sandbox, start: Start, tmp_path: Path) -> None:
    """The negative control: the same counter on the steward, which opens files and writes while it files records."""
    for number in range(20):
        board.start_app(f"cached-{900 + number}", 900 + number, 6)
    daemon = start(board)
    daemon.killer_pid, killer = daemon.pid, daemon.killer_pid
    board.start_hog(0, 60, limit_mib=235)
    assert counted(board, daemon, 8)["kmem:kmem_cache_alloc"] > 0
    daemon.killer_pid = killer
    board.stop_pressure()
    assert daemon.stop() == 0
