"""A killer that has ended is told of once and its memory goes, whatever finds no memory meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.daemon.slow_closers import SlowClosers
from lmkd_py.daemon.steward.killers.burial import Burial
from lmkd_py.daemon.steward.killers.keeper import Killer
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.wire.record import RECORD_SIZE
from tests.daemon.driver import Trace
from tests.daemon.rig import Rig
from tests.daemon.scarcity import scarcity
from tests.daemon.steward.filing.test_ring_reader import OTHER_PID, SLOTS, left_behind

SUCCESSOR = 1 << 29


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def bury(root: Path, nth: int, kernel: bool, successor: int) -> int:
    """A burial in which the nth call finds no memory, carried out again; how many could have."""
    rig = Rig(root)
    slow = SlowClosers()
    try:
        before = descriptors()
        burial = Burial(rig.steward.journal, rig.steward.candidates, slow)
        shared = left_behind(RECORD_SIZE, SLOTS, 3)
        shared.path = str(root / "memory")
        Path(shared.path).touch()
        killer = Killer(OTHER_PID, -1, shared, None, False)
        killer.copies = (eventfd(), eventfd())
        burial.add(killer, successor, 5)
        done = False
        with scarcity(nth, kernel) as met:
            try:
                done = burial.carry_out()
            except (MemoryError, OSError):
                pass
        if not done:
            assert burial.carry_out()
        assert burial.waiting == []
        slow.close()
        assert descriptors() == before
        assert not os.path.exists(shared.path)
    finally:
        rig.close()
    trace = Trace(root)
    assert [record.seq for record in trace.records] == [0, 1, 2]
    assert len(trace.noted("handover")) == bool(successor)
    assert len(trace.noted("bequest")) == (not successor)
    return met.met


@pytest.mark.parametrize("successor", [SUCCESSOR, 0], ids=["handover", "bequest"])
@pytest.mark.parametrize("kernel", [True, False], ids=["ENOMEM", "MemoryError"])
def test_a_killer_is_buried_as_a_whole_and_told_of_once(tmp_path: Path, kernel: bool, successor: int) -> None:
    calls = bury(tmp_path / "none", 0, kernel, successor)
    failed = {}
    for nth in range(1, calls + 1):
        try:
            bury(tmp_path / str(nth), nth, kernel, successor)
        except (AssertionError, OSError) as error:
            failed[nth] = str(error)[:100]
    assert not failed, f"calls of {calls}"


class Refusing(set[int]):
    """A set that finds no memory once."""

    def __init__(self, *pids: int) -> None:
        super().__init__(pids)
        self.has_refused = False

    def discard(self, pid: object) -> None:
        super().discard(pid)
        if not self.has_refused:
            self.has_refused = True
            raise MemoryError


def test_what_fails_beside_the_note_of_a_handover_does_not_have_it_twice(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "root")
    try:
        never = rig.steward.candidates.never = Refusing(OTHER_PID)
        burial = Burial(rig.steward.journal, rig.steward.candidates)
        burial.add(Killer(OTHER_PID, -1, left_behind(RECORD_SIZE, SLOTS, 3), None, False), SUCCESSOR, 5)
        with pytest.raises(MemoryError):
            burial.carry_out()
        assert burial.carry_out()
        assert OTHER_PID not in never
    finally:
        rig.close()
    assert len(Trace(tmp_path / "root").noted("handover")) == 1
