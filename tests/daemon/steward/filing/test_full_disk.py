"""A disk that is full, read-only or broken: guarding goes on, no frame is torn, nothing is lost without a word."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.daemon.steward.filing import trace_file
from lmkd_py.daemon.steward.filing.ring_reader import RingReader
from lmkd_py.daemon.steward.filing.trace_file import LATE_BYTES, TraceFile
from lmkd_py.wire.control import Request, Verb
from lmkd_py.wire.frames import RECORD, STRIKE, Frame, Lost, frame_bytes, read_frames
from lmkd_py.wire.header import encode_header
from lmkd_py.wire.record import unpack_record
from tests.analysis.paper import PaperKiller, header, packed
from tests.daemon.driver import BOOT, Trace
from tests.daemon.rig import Rig

CODES = [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT]


class Disk:
    """os.write and os.ftruncate of one descriptor on a disk that fails when told, after so many bytes of a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fd: int) -> None:
        self.fd = fd
        self.code = 0
        self.first = 0  # bytes it still takes
        self.keeps = False  # cannot be truncated either
        self._write, self._ftruncate = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)

    def write(self, fd: int, data: bytes) -> int:
        if fd != self.fd or not self.code:
            return self._write(fd, data)
        if not self.first:
            raise OSError(self.code, os.strerror(self.code))
        taken, self.first = min(self.first, len(data)), 0
        return self._write(fd, data[:taken])

    def ftruncate(self, fd: int, size: int) -> None:
        if fd == self.fd and self.keeps:
            raise OSError(self.code, os.strerror(self.code))
        self._ftruncate(fd, size)


def parts(path: str) -> list[Frame | Lost]:
    return list(read_frames(Path(path).read_bytes()))


def seqs(path: str) -> list[int]:
    found = [part for part in parts(path) if isinstance(part, Frame) and part.kind == RECORD]
    return [unpack_record(part.payload).seq for part in found]


def at_once(trace: TraceFile) -> None:
    """The disk is asked again now."""
    trace._retry_at = 0.0
    assert trace.catch_up()


@pytest.mark.parametrize("code", CODES, ids=[errno.errorcode[code] for code in CODES])
def test_a_disk_that_refuses_leaves_whole_frames_and_has_them_all_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    paper, trace = PaperKiller(), TraceFile(str(tmp_path), BOOT)
    trace.begin(encode_header(header(paper.config)))
    disk = Disk(monkeypatch, trace.fd)
    assert trace.record(packed(paper.wakeup()))
    disk.code, disk.first = code, 500  # a third of a record
    for _ in range(4):
        assert trace.record(packed(paper.wakeup()))
    assert trace.refusal == os.strerror(code)
    assert 0 < trace.wait_s() <= trace_file.RETRY_S
    assert not any(isinstance(part, Lost) for part in parts(trace.path))
    assert (seqs(trace.path), trace.records) == ([0], 1)
    disk.code = 0
    at_once(trace)
    assert (trace.refusal, trace.recovered, trace.wait_s()) == ("", True, -1)
    trace.close()
    assert (seqs(trace.path), trace.records, trace.lost) == ([0, 1, 2, 3, 4], 5, 0)
    assert not any(isinstance(part, Lost) for part in parts(trace.path))


def test_a_torn_frame_that_cannot_be_cut_off_is_mended_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper, trace = PaperKiller(), TraceFile(str(tmp_path), BOOT)
    trace.begin(encode_header(header(paper.config)))
    disk = Disk(monkeypatch, trace.fd)
    disk.code, disk.first, disk.keeps = errno.EIO, 700, True
    assert trace.record(packed(paper.wakeup()))
    assert isinstance(parts(trace.path)[-1], Lost)
    disk.keeps = False
    disk.code = 0
    at_once(trace)
    assert trace.record(packed(paper.wakeup()))
    trace.close()
    assert seqs(trace.path) == [0, 1]
    assert not any(isinstance(part, Lost) for part in parts(trace.path))


OUTCOMES = st.lists(st.one_of(st.integers(0, 400), st.sampled_from([-code for code in CODES])), max_size=30)


@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=20), outcomes=OUTCOMES)
def test_whatever_the_disk_takes_of_each_write_frames_stay_whole_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], outcomes: list[int]
) -> None:
    trace = TraceFile(str(tmp_path_factory.mktemp("disk")), BOOT)
    trace.begin(b"header")
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    real, left = os.write, list(outcomes)

    def write(fd: int, data: bytes) -> int:
        if fd != trace.fd or not left:
            return real(fd, data)
        outcome = left.pop(0)
        if outcome < 0:
            raise OSError(-outcome, os.strerror(-outcome))
        return real(fd, data[:outcome]) if outcome else 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        for payload in payloads:
            assert trace.strike(payload)
            assert not (trace.refusal and any(isinstance(part, Lost) for part in parts(trace.path)))
            trace._retry_at = 0.0
        while left:
            at_once(trace)
            if not trace.late:
                break
    trace.close()
    found = parts(trace.path)
    assert not any(isinstance(part, Lost) for part in found)
    assert [part.payload for part in found if isinstance(part, Frame) and part.kind == STRIKE] == payloads


def test_what_waits_in_memory_is_bounded_and_the_rest_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper, trace = PaperKiller(), TraceFile(str(tmp_path), BOOT)
    trace.begin(encode_header(header(paper.config)))
    disk = Disk(monkeypatch, trace.fd)
    disk.code = errno.ENOSPC
    data = packed(paper.wakeup())
    taken = [trace.record(data) for _ in range(1000)]
    assert taken == sorted(taken, reverse=True)
    assert not taken[-1]
    assert not trace.strike(b"strike")
    assert not trace.note(b"note")
    assert trace.late_bytes <= LATE_BYTES + len(frame_bytes(RECORD, data))
    trace.close()
    assert trace.lost == sum(taken)
    assert seqs(trace.path) == []


def test_what_a_full_disk_kept_in_memory_is_filed_by_the_next_steward_if_this_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path / "root")
    try:
        trace = rig.steward.journal.trace
        disk = Disk(monkeypatch, trace.fd)
        disk.code = errno.ENOSPC
        for _ in range(3):
            rig.ring.write(rig.paper.wakeup())
        rig.ring.notify()
        rig.steward.run_once()
        assert len([kind for kind, _ in trace.late if kind == RECORD]) == 3
        later = RingReader(rig.pair.shared)
        assert [unpack_record(data).seq for data in later.take()] == [0, 1, 2]
        disk.code = 0
        trace._retry_at = 0.0
        rig.steward.run_once()
        rig.settle()
        assert list(RingReader(rig.pair.shared).take()) == []
    finally:
        rig.close()


def test_records_that_the_ring_could_not_hold_are_declared_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_file, "LATE_BYTES", 4000)
    rig = Rig(tmp_path / "root")
    try:
        journal = rig.steward.journal
        disk = Disk(monkeypatch, journal.trace.fd)
        disk.code = errno.ENOSPC
        for _ in range(40):  # the ring holds 8
            rig.ring.write(rig.paper.wakeup())
            rig.ring.notify()
            rig.steward.run_once()
        status = rig.steward.answer(Request(Verb.STATUS))
        assert status.filing == os.strerror(errno.ENOSPC)
        assert 0 < status.lost < 40
        assert rig.steward.patience_s() >= 0  # it will look again
        disk.code = 0
        journal.trace._retry_at = 0.0
        rig.steward.run_once()
        rig.settle()
        assert (journal.trace.refusal, journal.trace.late) == ("", [])
        trace = Trace(rig.root)
        assert sum(note.number for note in trace.noted("lost")) == journal.lost
        assert len(trace.records) + journal.lost == 40
        assert not trace.lost
        assert journal.trace.wait_s() < 0  # and now nothing is waited for
    finally:
        rig.close()
