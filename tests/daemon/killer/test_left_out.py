"""Wakeups that strike nobody have no record each: what a trace takes, what the next record says, what always stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import Trace, read_trace
from lmkd_py.core.config import MonitorConfig
from lmkd_py.core.snapshot import Candidate, Outcome
from lmkd_py.core.vocabulary import ABSENT, Action, Level, WakeupKind
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.inherited import EXIT_DOMAIN_GONE, EXIT_STOPPED
from lmkd_py.daemon.killer.ring import RECORD_MS, Ring
from lmkd_py.daemon.steward.filing.ring_reader import RingReader
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.wire.record import NONE_LEFT_OUT, Aftermath, LeftOut, Record, unpack_record
from tests.analysis.paper import LOW_MEM, PaperKiller
from tests.daemon.killer.test_warm import Killer as Armed
from tests.daemon.pair import Pair
from tests.daemon.rig import Rig

DEFAULT = MonitorConfig().trace.every
LEFT_OUT = (Action.NONE, Action.BAIL, Action.IGNORED)
BAR_BYTES = 250_000  # a minute of pressure
POLL: dict[str, Any] = {"kind": WakeupKind.POLL, "level": Level.MEDIUM, "trigger": ABSENT}
KICK: dict[str, Any] = {"kind": WakeupKind.EVENT, "level": Level.MEDIUM, "trigger": 1}
PSI: dict[str, Any] = {"kind": WakeupKind.EVENT, "level": Level.MEDIUM, "trigger": 0}


class Killer:
    """A killer on paper, with the real ring and a clock that the test turns."""

    def __init__(self, ring: Ring, paper: PaperKiller) -> None:
        self.ring = ring
        self.paper = paper
        self.wakeups: list[Record] = []

    def wake(self, after_ms: int = 10, **how: Any) -> Record:
        record = self.paper.wakeup(after_ms, **{**POLL, **how})
        self.file(record)
        return record

    def file(self, record: Record) -> None:
        self.ring.write(record._replace(seq=self.ring.seq, left_out=self.ring.left_out()))
        self.wakeups.append(record)


class Ringed:
    """The killer's end alone, and what it has published."""

    def __init__(self, trace_every: int) -> None:
        self.pair = Pair()
        self.notified = 0
        self.notify_fd = eventfd()
        self.ring = Ring(self.pair.shared, self.notify_fd, trace_every)
        self._told = self.ring.notify
        self.ring.notify = self._notify  # type: ignore[method-assign]
        self.paper = PaperKiller()
        self.killer = Killer(self.ring, self.paper)

    def _notify(self) -> None:
        self.notified += 1
        self._told()

    def close(self) -> None:
        os.close(self.notify_fd)
        self.pair.close()

    def published(self) -> list[Record]:
        reader = RingReader(self.pair.shared)
        found = [unpack_record(data) for data in reader.take()]
        reader.settle()
        assert not reader.lost
        return found


@pytest.fixture
def ringed() -> Iterator[Ringed]:
    made = Ringed(DEFAULT)
    yield made
    made.close()


def minute(root: Path, seconds: int, trace_every: int) -> tuple[list[Record], int, Trace]:
    """So much pressure through the real ring, journal and trace file: wakeups, bytes filed, the trace.

    Polls at 100 Hz, kicks as often as they may come (every 25 ms), an event of PSI a second. Every second poll finds
    that something was reclaimed.
    """
    rig = Rig(root)
    try:
        rig.ring = Ring(rig.pair.shared, rig.notify, trace_every)
        rig.paper.pid = rig.killer.pid
        killer = Killer(rig.ring, rig.paper)
        for ms in range(0, seconds * 1000, 5):
            due = [POLL] * (ms % 10 == 0) + [KICK] * (ms % 25 == 0) + [PSI] * (ms % 1000 == 500)
            rig.paper.now_ms += 5
            for how in due:
                killer.wake(0, **how, direct_progress=ms // 20, mem_free_kb=900_000 + ms % 7)
                if trace_every == 1 or rig.ring.is_due(rig.paper.now_ms):
                    rig.ring.notify()
                    rig.steward.journal.file_records(rig.killer)
        rig.ring.settle()
        rig.settle()
    finally:
        rig.close()
    (folder,) = root.glob("traces/*")
    return killer.wakeups, sum(file.stat().st_size for file in folder.iterdir()), read_trace(folder)


def test_a_minute_of_pressure_takes_no_more_than_250_kb_and_nothing_is_lost(tmp_path: Path) -> None:
    wakeups, filed_bytes, trace = minute(tmp_path / "root", 60, DEFAULT)
    print(f"{len(wakeups)} wakeups, {len(trace.records)} records, {filed_bytes} bytes")
    assert len(wakeups) == 60 * (100 + 40 + 1)
    assert filed_bytes <= BAR_BYTES
    assert {record.judgement.action for record in wakeups} == {Action.NONE, Action.BAIL}
    records = [traced.record for traced in trace.records]
    stretches = {record.snapshot.now_ms // RECORD_MS for record in wakeups}
    assert {record.snapshot.now_ms // RECORD_MS for record in records} == stretches
    assert len(records) + sum(record.left_out.wakeups for record in records) == len(wakeups)
    assert [record.seq for record in records] == list(range(len(records)))
    assert (trace.losses, trace.gaps, trace.undeclared) == ((), (), 0)
    assert replay(trace).agrees
    assert replay(trace).records == len(records)


def test_trace_every_1_keeps_every_wakeup(tmp_path: Path) -> None:
    """The negative control: a twelfth of the minute takes more than all of it may."""
    wakeups, filed_bytes, trace = minute(tmp_path / "root", 5, 1)
    assert [traced.record.snapshot for traced in trace.records] == [record.snapshot for record in wakeups]
    assert all(traced.record.left_out == NONE_LEFT_OUT for traced in trace.records)
    assert filed_bytes > BAR_BYTES
    result = replay(trace)
    assert result.agrees
    assert result.chained == len(wakeups) - 1


def test_the_next_record_sums_up_what_was_left_out(ringed: Ringed) -> None:
    killer = ringed.killer
    first = killer.wake()
    killer.wake(mem_free_kb=700_000, psi_mem_some_avg10_centi_pct=100, psi_mem_full_avg10_centi_pct=90)
    killer.wake(mem_free_kb=600_000, psi_mem_some_avg10_centi_pct=3000, psi_mem_full_avg10_centi_pct=20)
    last = killer.wake(mem_free_kb=800_000, psi_mem_some_avg10_centi_pct=200, psi_mem_full_avg10_centi_pct=10)
    killer.paper.candidates = (Candidate(100, 0, 900, 500, 1, 1),)
    killed = killer.wake(**{**LOW_MEM, "direct_progress": 5})
    assert killed.outcome.pid == 100
    began_ms = first.snapshot.now_ms
    told = LeftOut(3, began_ms + 10, began_ms + 30, 600_000, 3000, 90)
    assert ringed.published() == [first, killed._replace(seq=1, left_out=told)]
    assert killed.state == last.judgement.state


def test_what_is_unknown_stays_unknown(ringed: Ringed) -> None:
    absent = {"psi_mem_some_avg10_centi_pct": ABSENT, "psi_mem_full_avg10_centi_pct": ABSENT}
    for _ in range(3):
        ringed.killer.wake(**absent)
    ringed.killer.wake(**PSI)
    (_, record) = ringed.published()
    assert record.left_out.wakeups == 2
    assert record.left_out[-2:] == (ABSENT, ABSENT)


def test_the_first_by_each_trigger_is_recorded_as_long_as_somebody_polls(ringed: Ringed) -> None:
    killer = ringed.killer
    for how in (POLL, KICK, PSI, KICK, PSI, POLL):
        killer.wake(0, **how)
    assert [record.trigger for record in ringed.published()] == [ABSENT, 1, 0]
    killer.ring.settle()
    killer.wake(0, **PSI)
    assert [record.trigger for record in ringed.published()] == [ABSENT, 0], "the last one, and the first of the next"


def test_the_last_wakeup_before_the_killer_sleeps_is_recorded_and_the_steward_woken(ringed: Ringed) -> None:
    for _ in range(3):
        last = ringed.killer.wake()
    assert ringed.notified < 1
    ringed.killer.ring.settle()
    assert ringed.notified == 1
    (first, second) = ringed.published()
    assert (second.snapshot, second.seq, second.left_out.wakeups) == (last.snapshot, first.seq + 1, 1)
    ringed.killer.ring.settle()
    assert (ringed.notified, ringed.published()) == (1, [])


@pytest.mark.parametrize("action", [each for each in Action if each not in LEFT_OUT])
def test_every_other_judgement_is_recorded(ringed: Ringed, action: Action) -> None:
    ringed.killer.wake()
    quiet = ringed.killer.paper.wakeup(**POLL)
    ringed.killer.file(quiet._replace(judgement=quiet.judgement._replace(action=int(action))))
    assert len(ringed.published()) == 2


def test_the_first_wakeup_after_a_kill_and_the_fate_of_a_victim_are_recorded(ringed: Ringed) -> None:
    ringed.killer.wake()
    quiet = ringed.killer.paper.wakeup(0, **POLL)
    struck = quiet.snapshot._replace(outcome=Outcome(100, 900, 1, 1, 0, 1))
    ringed.killer.file(quiet)
    ringed.killer.file(quiet._replace(snapshot=struck))
    ringed.killer.file(quiet._replace(aftermath=Aftermath(100, 1, 2, 0, 0)))
    assert [record.left_out.wakeups for record in ringed.published()] == [0, 1, 0]


@pytest.mark.parametrize("trace_every", [2, 7])
def test_one_in_so_many_is_recorded(trace_every: int) -> None:
    ringed = Ringed(trace_every)
    began_ms = ringed.killer.paper.now_ms
    for _ in range(2 * trace_every + 1):
        ringed.killer.wake(1)
    found = ringed.published()
    ringed.close()
    assert [one.snapshot.now_ms - began_ms for one in found] == [1, trace_every + 1, 2 * trace_every + 1]


def test_a_record_without_room_is_a_loss_and_those_left_out_are_none(ringed: Ringed) -> None:
    """Nobody takes the records: 6 of 8 slots fill up, and each half second from then on loses one."""
    for _ in range(10 * RECORD_MS // 10):
        ringed.killer.wake()
    assert ringed.killer.ring.head == 6
    assert ringed.killer.ring.skipped in (4, 5)  # half seconds that have begun
    seq = ringed.killer.ring.seq
    ringed.published()
    ringed.killer.wake(RECORD_MS)
    (record,) = ringed.published()
    assert record.seq == seq == 6 + ringed.killer.ring.skipped, "the reader sees the gap"


def test_a_record_without_room_leaves_what_it_had_to_sum_up_to_the_next_one(ringed: Ringed) -> None:
    """Every wakeup is in a record, in the sum of one, or among the losses; none is in two."""
    killer = ringed.killer
    wakeups = [killer.wake(mem_free_kb=900_000 - number) for number in range(10 * RECORD_MS // 10)]
    killer.ring.settle()
    found = ringed.published()
    killer.wake(RECORD_MS)
    found += ringed.published()
    told = len(found) + sum(record.left_out.wakeups for record in found)
    assert killer.ring.skipped
    assert told + killer.ring.skipped == len(wakeups) + 1
    ends_ms = [(record.left_out.first_ms, record.left_out.last_ms) for record in found]
    before_ms, last_ms = found[-2].snapshot.now_ms, wakeups[-1].snapshot.now_ms
    assert before_ms < ends_ms[-1][0] < ends_ms[-1][1] <= last_ms
    assert found[-1].left_out.min_free_kb <= 900_000 - len(wakeups) + 2


def test_as_long_as_there_is_no_room_one_in_so_many_is_a_loss_and_no_more() -> None:
    ringed = Ringed(10)
    for _ in range(300):
        ringed.killer.wake(1)
    skipped = ringed.killer.ring.skipped
    ringed.close()
    assert 300 // 10 - 6 <= skipped <= 300 // 10 - 6 + 2


@pytest.mark.parametrize("ends", [EXIT_STOPPED, EXIT_DOMAIN_GONE])
def test_before_it_sleeps_and_before_it_ends_the_killer_files_its_last_wakeup(
    monkeypatch: pytest.MonkeyPatch, ends: int
) -> None:
    armed = Armed()
    ring, words = armed.evaluator.ring, armed.pair.shared.words
    quiet = Killer(ring, PaperKiller())
    ring.trace_every = 1000
    seen: list[tuple[bool, int]] = []

    def leave_one_out() -> None:
        for _ in range(2):
            quiet.wake(0)
        assert ring.left_out().wakeups == 1

    def sleep(timeout_ms: int) -> int:
        seen.append((ring.left_out() == NONE_LEFT_OUT, timeout_ms))
        if ends == EXIT_DOMAIN_GONE:
            armed.domain.gone = 1
        else:
            words[layout.MODE] = layout.STOP
        leave_one_out()
        return 0

    monkeypatch.setattr(armed.loop.polls, "wait", sleep)
    words[layout.MODE] = layout.LIVE
    leave_one_out()
    assert armed.loop.run() == ends
    assert seen == [(True, -1)]
    assert ring.left_out() == NONE_LEFT_OUT
    armed.close()
