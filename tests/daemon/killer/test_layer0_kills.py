"""Layer 0 over 200 live kills: the killer takes nothing, whether it lives outside the thrashing domain or in it.

The reapers are threads of their own; process_mrelease takes pages without waiting (GFP_NOWAIT), so theirs are stated
apart and may only never enter reclaim.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.kernel.sensing.perf import RECLAIM_EVENTS, EventCounter
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.daemon.exercise import EVENTS, nonzero

pytestmark = [pytest.mark.pressure, pytest.mark.slow, pytest.mark.all_suite]
Start = Callable[..., Daemon]

KILLS = 200
APPS = 230
APP_MIB = 0.8


def limit_failures(board: Sandbox) -> int:
    """How often somebody in the domain ran into its limit."""
    return int(Path(board.place.memory, "memory.failcnt").read_text())


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_two_hundred_kills_in_a_thrashing_domain_take_nothing(
    board: Sandbox, start: Start, tmp_path: Path, where: str, record_property: Callable[[str, object], None]
) -> None:
    apps = [board.start_app(f"cached-{number}", 701 + number, APP_MIB) for number in range(APPS)]
    daemon = start(board, policy=PolicyConfig(futile_kills_max=0))  # thrashers take at once what a kill frees
    killer = daemon.killer_pid
    if where == "inside":
        # After arming: a daemon started in there would have left by itself.
        Path(board.place.memory, "cgroup.procs").write_text(str(killer))
    threads = [int(name) for name in os.listdir(f"/proc/{killer}/task") if int(name) != killer]
    thrashers = board.start_thrashers(3, adj=0)
    board.start_hog(0, 20, limit_mib=80)
    failures = limit_failures(board)
    with (
        EventCounter(EVENTS, killer) as deciding,
        EventCounter(EVENTS, threads[0]) as first,
        EventCounter(EVENTS, threads[1]) as second,
        EventCounter(RECLAIM_EVENTS, thrashers[0].pid) as thrashing,
    ):
        wait_until(f"{KILLS} kills", lambda: sum(not app.is_alive() for app in apps) >= KILLS, 240)
    assert limit_failures(board) - failures > 1000, "the domain did not thrash"
    assert sum(thrashing.counts) > 1000, "the counters do not see reclaim"
    board.stop_pressure()
    assert nonzero(deciding) == {}
    reapers = [nonzero(first), nonzero(second)]
    for counts in reapers:
        assert set(counts) <= {"kmem:mm_page_alloc"}, reapers
        assert not set(counts) & set(RECLAIM_EVENTS)
    pages = sum(counts.get("kmem:mm_page_alloc", 0) for counts in reapers)
    record_property("pages_of_process_mrelease_per_kill", pages / KILLS)
    print(f"{where}: process_mrelease took {pages / KILLS:.1f} pages a kill")
    if where == "inside":
        assert f"memory:/{Path(board.place.memory).name}" in Path(f"/proc/{killer}/cgroup").read_text()
        Path("/sys/fs/cgroup/memory/cgroup.procs").write_text(str(killer))
    assert daemon.stop() == 0
    kills = Trace(tmp_path).kills
    assert len(kills) >= KILLS
    assert {kill.outcome.attempts for kill in kills} == {1}
