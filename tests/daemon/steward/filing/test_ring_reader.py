"""What a killer of another version has left, and records that cannot be read: declared lost, and never misread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.shared import RING_HEAD, RING_OFFSET, RING_SLOTS, RING_TAIL, Shared, shared_bytes
from lmkd_py.daemon.steward.filing.ring_reader import RingReader
from lmkd_py.daemon.steward.killers.burial import Burial
from lmkd_py.daemon.steward.killers.keeper import Killer
from lmkd_py.kernel.acting.syscalls import memfd_create
from lmkd_py.wire.record import RECORD_SIZE, pack_record_into
from tests.analysis.paper import PaperKiller
from tests.daemon.rig import Rig

SLOTS = 8
OTHER_PID = 1 << 30


def left_behind(record_bytes: int, slots: int, records: int) -> Shared:
    """Memory of a dead killer with so many records of this length, each of which begins with one of ours."""
    memory = memfd_create("test")
    os.ftruncate(memory, RING_OFFSET + slots * record_bytes)
    shared = Shared(memory)
    shared.words[RING_SLOTS] = slots
    shared.words[layout.KILLER_PID] = OTHER_PID
    paper = PaperKiller()
    for number in range(records):
        pack_record_into(shared.map, RING_OFFSET + number * record_bytes, paper.wakeup()._replace(seq=number))
    shared.words[RING_HEAD] = records
    return shared


@pytest.mark.parametrize("record_bytes", [RECORD_SIZE - 16, RECORD_SIZE + 16, 2 * RECORD_SIZE])
def test_a_ring_of_another_layout_is_not_read(record_bytes: int) -> None:
    shared = left_behind(record_bytes, SLOTS, 5)
    reader = RingReader(shared)
    assert list(reader.take()) == []
    assert (reader.lost, reader.is_empty()) == (5, True)
    reader.settle()
    assert shared.words[RING_TAIL] == 5
    assert list(reader.take()) == []
    assert reader.lost == 5, "each is lost once"
    shared.close()


def test_a_ring_that_says_another_number_of_slots_than_it_has_is_not_read() -> None:
    shared = left_behind(RECORD_SIZE, SLOTS, 5)
    shared.words[RING_SLOTS] = SLOTS - 1
    assert list(RingReader(shared).take()) == []
    shared.close()


@pytest.mark.parametrize("slots", [SLOTS, 3 * SLOTS])
def test_a_ring_of_our_layout_is_read_whatever_its_length(slots: int) -> None:
    shared = left_behind(RECORD_SIZE, slots, 5)
    assert len(shared.map) == shared_bytes(slots)
    assert len(list(RingReader(shared).take())) == 5
    shared.close()


def test_what_a_killer_of_another_version_recorded_is_declared_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "root")
    try:
        journal = rig.steward.journal
        burial = Burial(journal, rig.steward.candidates)
        burial.add(Killer(OTHER_PID, -1, left_behind(RECORD_SIZE + 16, SLOTS, 5), None, False))
        assert burial.carry_out()
        assert journal.lost == 5
    finally:
        rig.close()
    trace = read_trace(next((tmp_path / "root").glob("traces/*")))
    assert not trace.records
    (lost,) = [note for note in trace.notes if note.kind == "lost"]
    assert lost.number == 5
    assert f"killer {OTHER_PID} " in lost.text
    assert not [note for note in trace.notes if note.kind in ("bequest", "unreadable-record")]


def test_a_record_that_cannot_be_read_is_counted_as_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "root")
    try:
        for _ in range(3):
            rig.ring.write(rig.paper.wakeup()._replace(seq=rig.ring.seq))
        rig.pair.shared.map[RING_OFFSET + RECORD_SIZE : RING_OFFSET + RECORD_SIZE + 8] = bytes(8)
        rig.ring.notify()
        rig.settle()
        assert rig.steward.journal.lost == 1
    finally:
        rig.close()
    trace = read_trace(next((tmp_path / "root").glob("traces/*")))
    assert [traced.record.seq for traced in trace.records] == [0, 2]
    assert [note.number for note in trace.notes if note.kind == "lost"] == [1]
    assert trace.undeclared == 0
