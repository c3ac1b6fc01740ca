"""A steward that is stuck while the killer goes on: records without a kill make room for those with one."""

from __future__ import annotations

from pathlib import Path

from lmkd_py.analysis.trace import read_trace
from lmkd_py.core.snapshot import Outcome
from lmkd_py.core.vocabulary import ABSENT
from tests.daemon.rig import Rig

KILLS, WAKEUPS_A_KILL = 2, 20


def test_kills_are_kept_however_often_the_killer_woke_for_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "root")
    try:
        slots = rig.pair.shared.ring_slots
        for number in range(KILLS):
            record = rig.paper.wakeup()
            rig.ring.write(record._replace(seq=rig.ring.seq, outcome=Outcome(1000 + number, 900, ABSENT, 1, 0, 1)))
            for _ in range(WAKEUPS_A_KILL):
                rig.ring.write(rig.paper.wakeup()._replace(seq=rig.ring.seq))
        rig.ring.notify()
        rig.settle()
        lost = rig.steward.journal.lost
    finally:
        rig.close()
    trace = read_trace(next((tmp_path / "root").glob("traces/*")))
    assert [kill.record.outcome.pid for kill in trace.kills] == [1000, 1001]
    assert len(trace.records) == slots - slots // 4 + KILLS - 1
    assert lost == KILLS * (WAKEUPS_A_KILL + 1) - len(trace.records)
    assert sum(note.number for note in trace.notes if note.kind == "lost") == lost
    assert trace.gaps, "the reader sees where they are missing"
    assert trace.undeclared == 0
