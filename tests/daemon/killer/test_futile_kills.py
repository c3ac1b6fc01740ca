"""Memory that no death gives back, in a real cgroup: three die, then nobody, and everybody is told what holds it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.core.config import Config, PolicyConfig, with_settings
from lmkd_py.core.notes import Note
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason
from lmkd_py.daemon.steward.filing.holds import Holds
from lmkd_py.kernel.sensing.domain import open_domain
from tests.analysis.paper import PaperKiller
from tests.daemon.driver import Daemon, Trace, wait_until, write_config
from tests.kernel.cgroups import _JOIN, _SAY, THRASH, Pen, fresh_file

MIB = 1 << 20
# Fills a file in memory, which stays charged to the cgroup; with a size of 0 only maps what is there.
SHARE = (
    _JOIN
    + "path, size, adj = sys.argv[3], int(sys.argv[4]) << 20, sys.argv[5]\n"
    + "open('/proc/self/oom_score_adj', 'w').write(adj)\n"
    + "file = open(path, 'r+b')\n"
    + "[file.write(bytes(1 << 20)) for _ in range(size >> 20)]\n"
    + "file.flush()\n"
    + "m = mmap.mmap(file.fileno(), 0)\n"
    + "sum(m[at] for at in range(0, len(m), 4096))\n"
    + _SAY
    + "time.sleep(600)\n"
)


@pytest.mark.pressure
@pytest.mark.slow
def test_three_die_for_memory_that_a_tmpfs_holds_then_nobody_until_it_is_free(tmp_path: Path) -> None:
    with Pen("futile") as pen, tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="lmkd-futile-") as held:
        # Everybody shares the same 32 MiB, so nobody's death frees a quarter of what it has.
        adjs = range(901, 907)
        pen.start(SHARE, held.name, "32", "901")
        for adj in adjs[1:]:
            pen.start(SHARE, held.name, "0", str(adj))
        monitor = with_settings(
            pen.monitor,
            triggers={"psi_full_stall_ms": 0, "psi_some_stall_ms": 10},
            domain={"watermark_min_pct": 1, "watermark_low_pct": 90, "watermark_high_pct": 95},
            strike={"enabled": 0},
            guarantee={"reserve_kb": 0},
            discovery={"scan_min_adj": 900},
        )
        root = tmp_path / "root"
        write_config(root, Config(PolicyConfig(lowmem_min_adj=900, kill_timeout_ms=500), monitor))
        daemon = Daemon(root)
        try:
            wait_until("everybody is known", lambda: daemon.status().candidates == len(adjs))
            pen.start(THRASH, str(fresh_file(tmp_path, 96)))
            wait_until("kills are held back", lambda: Trace(root).noted("kills-held"))
            (note, *_) = Trace(root).noted("kills-held")
            assert note.number == 3
            assert "nobody is killed for 1000 ms; memory is held by shmem (" in note.text
            assert note.text[:30] in [each.text[:30] for each in daemon.status().notes]
            os.truncate(held.name, 0)
            wait_until("memory became free", lambda: Trace(root).noted("kills-resumed"))
        finally:
            daemon.stop()
            daemon.end()
        trace = Trace(root)
        first_held = next(one for one in trace.records if one.judgement.action == Action.HELD)
        before = [one for one in trace.kills if one.snapshot.now_ms < first_held.snapshot.now_ms]
        assert len(before) == 3
        trace.assert_replays()
        assert pen.oom_kills() == 0
    for path in root.glob("traces/*/*.lmkt"):
        assert replay(read_trace(path)).agrees


class Notes:
    """A journal that only takes notes."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def add(self, note: Note) -> None:
        self.kinds.append(note.kind)


def test_a_pause_is_said_once_and_its_end_too(capsys: pytest.CaptureFixture[str]) -> None:
    domain = open_domain(Config().monitor)
    killer, holds, notes = PaperKiller(), Holds(), Notes()
    calm = killer.wakeup()
    state = calm.judgement.state._replace(futile_kills=3, futile_kb=9000, hold_ms=1000, held_until_ms=5000)
    held = calm._replace(judgement=calm.judgement._replace(action=int(Action.HELD), min_adj=ABSENT, state=state))
    for record in (calm, held, held, calm, calm):
        holds.see(record)
        holds.tell(notes.add, domain)
    assert notes.kinds == ["kills-held", "kills-resumed"]
    assert capsys.readouterr().err.count("the last 3 kills freed less than a quarter of 9000 kB") == 1
    assert holds.words == ""
    domain.close()


def test_a_wait_after_kills_for_stall_in_vain_is_said_in_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    domain = open_domain(Config().monitor)
    killer, holds, notes = PaperKiller(), Holds(), Notes()
    calm = killer.wakeup()
    state = calm.judgement.state._replace(stall_kills=3, stall_wait_ms=2000, stall_wait_until_ms=1 << 40)
    stalled = calm.judgement._replace(action=int(Action.HELD), reason=int(KillReason.STALLED), state=state)
    for record in (calm, calm._replace(judgement=stalled), calm):
        holds.see(record)
        holds.tell(notes.add, domain)
    assert notes.kinds == ["kills-held", "kills-resumed"]
    words = "the last 3 STALLED kills did not reduce refaults; no STALLED kill for 2000 ms"
    assert capsys.readouterr().err.count(words) == 1
    domain.close()
