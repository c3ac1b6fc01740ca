"""The records of one look are written together."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lmkd_py.core.snapshot import Candidate, Outcome
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon.steward.filing import trace_file
from lmkd_py.wire.frames import PROCESS, RECORD, Frame, Lost, read_frames
from tests.daemon.driver import Trace
from tests.daemon.rig import Rig
from tests.daemon.steward.filing.ways import NOBODY, file, with_rows


class Counted:
    """Writes into the trace."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
        self.writes = 0
        self.fd = rig.steward.journal.trace.fd
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        self.writes += fd == self.fd
        return self._write(fd, data)


def test_records_of_one_look_take_one_write(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch, rig)
    bare = [rig.paper.wakeup() for _ in range(4)]
    file(rig, bare[0], with_rows(bare[1]), bare[2], with_rows(bare[3]))
    assert counted.writes == 1
    kill = with_rows(rig.paper.wakeup())._replace(outcome=Outcome(NOBODY, 900, ABSENT, 1, 0, 1))
    file(rig, rig.paper.wakeup(), kill)
    assert counted.writes == 2
    assert rig.steward.journal.kills == 1
    assert [record.seq for record in Trace(rig.root).records] == list(range(6))


def test_a_look_that_finds_nothing_writes_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch, rig)
    file(rig)
    assert counted.writes == 0


def test_who_a_record_speaks_of_is_written_before_it_and_with_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch, rig)
    (process, *_) = rig.steward.candidates.processes.values()
    wakeup = rig.paper.wakeup()
    row = Candidate(process.pid, process.start_ticks, 900, -1, 10, 0)
    process.named_in = -1  # not told in this file yet
    file(rig, wakeup._replace(snapshot=wakeup.snapshot._replace(candidates=(row,))))
    assert counted.writes == 1
    frames = read_frames(Path(rig.steward.journal.trace.path).read_bytes())
    assert [part.kind for part in frames if isinstance(part, Frame)][-2:] == [PROCESS, RECORD]


def test_more_than_goes_in_one_write_is_written_in_between(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "AT_ONCE_BYTES", 3000)
    counted = Counted(monkeypatch, rig)
    file(rig, *(with_rows(rig.paper.wakeup()) for _ in range(6)))  # 2.5 kB each
    assert counted.writes == 3
    assert [record.seq for record in Trace(rig.root).records] == list(range(6))


def test_a_disk_that_takes_half_of_a_batch_ends_with_a_whole_frame_and_has_all_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = rig.steward.journal.trace
    real, taken = os.write, [3000, -1]

    def write(fd: int, data: bytes) -> int:
        if fd != trace.fd or not taken:
            return real(fd, data)
        size = taken.pop(0)
        if size < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[:size])

    monkeypatch.setattr(os, "write", write)
    file(rig, *(with_rows(rig.paper.wakeup()) for _ in range(4)))
    assert not any(isinstance(part, Lost) for part in read_frames(Path(trace.path).read_bytes()))
    assert [record.seq for record in Trace(rig.root).records] == [0]
    assert trace.refusal
    trace._retry_at = 0.0
    assert trace.catch_up()
    assert [record.seq for record in Trace(rig.root).records] == [0, 1, 2, 3]
    assert rig.steward.journal.lost == 0
