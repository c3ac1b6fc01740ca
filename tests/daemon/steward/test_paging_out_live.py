"""The real daemon pages out real idle applications, with real swap, while a foreground application grows."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import NoteKind, PolicyKind
from lmkd_py.daemon.steward import paging_out
from tests.core.values import make_snapshot
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.daemon.rig import Rig
from tests.kernel.swap import ZramSwap

pytestmark = [pytest.mark.pressure, pytest.mark.alone]
Start = Callable[..., Daemon]
STEADY = PolicyConfig(kind=PolicyKind.STEADY)


def resident_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20


def test_idle_applications_make_room_before_anybody_has_to_die(board: Sandbox, start: Start, tmp_path: Path) -> None:
    with ZramSwap(192):
        cached = [board.start_app(f"cached-{adj}", adj, 24) for adj in (910, 900)]
        perceptible = board.start_app("perceptible", 200, 24)
        daemon = start(board, policy=STEADY, page_out_pct=40)
        before = resident_mib(perceptible.pid)
        board.start_hog(0, 100, limit_mib=110)
        wait_until("the most expendable is paged out", lambda: resident_mib(cached[0].pid) < 12)
        wait_until("it is noted", lambda: NoteKind.PAGED_OUT in [note.kind for note in daemon.status().notes])
        assert resident_mib(perceptible.pid) >= before
        assert daemon.status().kills == 0
        assert all(app.is_alive() for app in cached)
        board.stop_pressure()
        wait_until("the trace says so", lambda: NoteKind.PAGED_OUT in [note.kind for note in Trace(tmp_path).notes])


class Sleeper:
    """Holds memory of its own, and reads all of it again when told to."""

    def __init__(self, adj: int, mib: int) -> None:
        said, say = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            area = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            area.write(os.urandom(1 << 20) * mib)
            signal.signal(signal.SIGUSR1, lambda *_: os.write(say, b"%d" % (sum(area[:: mmap.PAGESIZE]) and 1)))
            os.write(say, b"1")
            while True:
                signal.pause()
        os.read(said, 1)
        self._said, self._say = said, say
        Path(f"/proc/{self.pid}/oom_score_adj").write_text(str(adj))

    def own_kb(self) -> int:
        """What is resident of memory that nobody else has."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(int(rollup.partition(f"Private_{kind}:")[2].split()[0]) for kind in ("Dirty", "Clean"))

    def read_all(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)
        os.read(self._said, 1)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._said)
        os.close(self._say)


def test_who_reads_it_all_back_is_not_paged_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = make_snapshot(mem_free_kb=200_000, active_file_kb=0, inactive_file_kb=0, cached_kb=0)
    monkeypatch.setattr(paging_out, "look", lambda _: short)
    with ZramSwap(128):
        rig, sleepers = Rig(tmp_path / "root"), {adj: Sleeper(adj, 8) for adj in (950, 699)}
        try:
            rig.members.pids += [sleeper.pid for sleeper in sleepers.values()]
            rig.steward.config = rig.steward.config._replace(
                monitor=rig.steward.config.monitor._replace(page_out_pct=25)
            )
            rig.steward.events.scan()
            _tend(rig)
            assert sleepers[950].own_kb() < 1024
            assert sleepers[699].own_kb() >= 8 << 10
            sleepers[950].read_all()
            back_kb = sleepers[950].own_kb()
            assert back_kb > 6 << 10
            time.sleep(paging_out.GLANCE_S)
            _tend(rig)
            assert sleepers[950].own_kb() >= back_kb
        finally:
            for sleeper in sleepers.values():
                sleeper.close()
            rig.close()


def _tend(rig: Rig) -> None:
    """Until nothing is left to page out."""
    part = rig.steward.paging_out
    part.tend(rig.steward)
    while (wait_s := part.wait_s()) >= 0:
        time.sleep(wait_s)
        rig.steward.candidates.assign_sizes()
        rig.pair.carry()
        part.tend(rig.steward)
