"""Deferred work of the steward: a burst of kills goes to the disk with one sync, and then it sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.snapshot import Snapshot
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.steward import deferred_work
from lmkd_py.daemon.steward.filing.trace_file import ROTATE_BYTES, TraceFile
from lmkd_py.kernel.protection.reserve import MOST_KB, Reserve
from lmkd_py.kernel.sensing.perf import EventCounter
from tests.core.values import make_snapshot
from tests.daemon.driver import BOOT, Daemon, wait_until
from tests.daemon.rig import Rig

pytestmark = pytest.mark.pressure
Start = Callable[..., Daemon]
SYNCS = ("syscalls:sys_enter_fdatasync", "syscalls:sys_enter_fsync")
WAKEUPS = ("syscalls:sys_exit_epoll_wait",)


@pytest.mark.all_suite
@pytest.mark.parametrize("reserve_kb", [0, pytest.param(MOST_KB, marks=pytest.mark.all_suite)])
def test_kills_are_on_the_disk_once_it_is_calm(board: Sandbox, start: Start, reserve_kb: int) -> None:
    for number in range(12):
        board.start_app(f"cached-{number}", 901 + number, 4)
    daemon = start(board, guarantee={"reserve_kb": reserve_kb})
    with EventCounter(SYNCS, daemon.pid) as syncs, EventCounter(WAKEUPS, daemon.pid) as wakeups:
        assert sum(syncs.read()) == 0
        board.start_thrashers(3)
        wait_until("a burst of kills", lambda: daemon.status().kills >= 4)
        board.stop_pressure()
        kills = daemon.status().kills
        wait_until("it is synced", lambda: sum(syncs.read()))
        assert daemon.status().kills == kills
        wait_until("it stops looking once a second", lambda: _sleeps(wakeups))
        assert sum(syncs.read()) == 1


def _sleeps(wakeups: EventCounter) -> bool:
    before = sum(wakeups.read())
    time.sleep(1.5)  # longer than from one look to the next
    return sum(wakeups.read()) == before


def test_a_full_file_of_the_trace_is_synced_with_its_successor(tmp_path: Path) -> None:
    trace = TraceFile(str(tmp_path), BOOT)
    trace.begin(b"header")
    trace.record(b"a kill")
    trace.unsynced = True
    trace.bytes = ROTATE_BYTES + 1
    trace.record(b"the next one")
    with EventCounter(SYNCS) as syncs:
        trace.sync()
    assert sum(syncs.counts) == 2
    assert not trace.unsynced
    links = Path("/proc/self/fd").iterdir()
    assert [str(path) for path in map(Path.resolve, links) if path.is_relative_to(tmp_path)] == [trace.path]
    trace.close()


def test_the_pool_stays_away_until_three_seconds_passed_without_waiting_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, stalled_us = [1000.0], [5_000_000]

    def look(domain: object) -> Snapshot:
        return make_snapshot(psi_mem_some_total_us=stalled_us[0], mem_free_kb=1 << 20, watermark_low_pages=1)

    monkeypatch.setattr(deferred_work, "monotonic", lambda: now[0])
    monkeypatch.setattr(deferred_work, "look", look)
    rig = Rig(tmp_path / "root")
    work = deferred_work.DeferredWork(rig.steward.domain, Reserve(64), rig.steward.journal.trace)

    def seconds(count: int, stalled_pct: int) -> bool:
        """Whether the pool is there after so many, of which tasks waited for memory so much."""
        for _ in range(count):
            now[0] += 1
            stalled_us[0] += stalled_pct * 10_000
            work.tend(rig.killer)
        return not work.pool.is_away

    try:
        work.postpone()
        work.tend(rig.killer)
        assert not seconds(60, stalled_pct=100)
        assert not seconds(60, stalled_pct=2)
        assert not seconds(2, stalled_pct=0)
        assert not seconds(1, stalled_pct=2)
        assert not seconds(2, stalled_pct=1)
        assert seconds(1, stalled_pct=1)
        rig.killer.shared.words[layout.CALLS] += 1
        work.postpone()
        assert not seconds(2, stalled_pct=0)
        rig.killer.shared.words[layout.CALLS] += 1
        assert not seconds(3, stalled_pct=0), "a kill that was wanted is a shortage, too"
        assert seconds(1, stalled_pct=0)
    finally:
        work.pool.close()
        rig.close()
