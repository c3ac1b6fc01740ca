"""While kills are held back, and below AOSP's level filter, wakeups have no record each: what of them always stays."""

from __future__ import annotations

from pathlib import Path

from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.core.futile import held_until_ms
from lmkd_py.core.snapshot import Candidate
from lmkd_py.core.vocabulary import Action, NoteKind
from lmkd_py.daemon.killer.ring import RECORD_MS, Ring
from lmkd_py.wire.record import Aftermath, Record
from tests.analysis.paper import LOW_MEM
from tests.daemon.killer import test_left_out
from tests.daemon.killer.test_left_out import BAR_BYTES, DEFAULT, POLL, PSI, Killer, Ringed
from tests.daemon.rig import Rig

KILL_BYTES = 5100  # the record of a kill and of the first wakeup after it
ringed = test_left_out.ringed


def test_a_minute_of_pauses_takes_250_kb_and_a_little_for_each_kill_and_no_pause_is_lost(tmp_path: Path) -> None:
    """Nobody's death frees anything: nobody is killed for 1, 2, 4 ... s while memory is low; polls at 10 Hz go on."""
    rig = Rig(tmp_path / "root")
    try:
        rig.ring = Ring(rig.pair.shared, rig.notify, DEFAULT)
        rig.paper.pid = rig.killer.pid
        rig.paper.candidates = tuple(Candidate(100 + number, 0, 900, 5000, 1, 1) for number in range(40))
        killer = Killer(rig.ring, rig.paper)
        for number in range(600):
            killer.wake(100, **{**LOW_MEM, **(POLL if number % 10 else PSI)}, direct_progress=number)
            rig.steward.journal.file_records(rig.killer)
            rig.steward.journal.holds.tell(rig.steward.journal.add, rig.steward.domain)
        rig.ring.settle()
        rig.settle()
    finally:
        rig.close()
    (folder,) = (tmp_path / "root").glob("traces/*")
    trace, filed_bytes = read_trace(folder), sum(file.stat().st_size for file in folder.iterdir())
    records = [traced.record for traced in trace.records]
    print(f"{len(killer.wakeups)} wakeups, {len(records)} records, {filed_bytes} bytes")
    assert sum(each.judgement.action == Action.HELD for each in killer.wakeups) > 500
    assert filed_bytes <= BAR_BYTES + KILL_BYTES * sum(each.outcome.pid > 0 for each in killer.wakeups)
    assert firsts_of_pauses(records) == firsts_of_pauses(killer.wakeups)
    assert len(firsts_of_pauses(records)) > 4
    stretches = {each.snapshot.now_ms // RECORD_MS for each in killer.wakeups}
    assert {each.snapshot.now_ms // RECORD_MS for each in records} == stretches
    assert len(records) + sum(each.left_out.wakeups for each in records) == len(killer.wakeups)
    assert (trace.losses, trace.gaps, trace.undeclared) == ((), (), 0)
    assert replay(trace).agrees
    told = [note for note in trace.notes if note.kind == NoteKind.KILLS_HELD]
    assert len(told) == len(firsts_of_pauses(killer.wakeups))


def firsts_of_pauses(records: list[Record]) -> list[int]:
    """When the first wakeup of each pause was, in ms."""
    firsts: dict[int, int] = {}
    for each in records:
        if each.judgement.action == Action.HELD:
            firsts.setdefault(held_until_ms(each.judgement.state), each.snapshot.now_ms)
    return list(firsts.values())


def held(record: Record, until_ms: int, wait_until_ms: int) -> Record:
    """That wakeup with a verdict that no kill may follow yet."""
    state = record.judgement.state._replace(held_until_ms=until_ms, stall_wait_until_ms=wait_until_ms)
    return record._replace(judgement=record.judgement._replace(action=int(Action.HELD), state=state))


def test_of_a_pause_the_first_wakeup_is_recorded_and_those_after_it_left_out(ringed: Ringed) -> None:
    killer = ringed.killer
    quiet = killer.wake()
    pauses = ((0, 7000), (0, 7000), (8000, 7000), (8000, 7000), (8000, 9000), (8000, 9000), (0, 9000), (0, 9000))
    for pause in pauses:
        killer.file(held(quiet, *pause))
    killer.file(quiet)
    killer.file(held(quiet, 0, 9000))
    told = [each.judgement.state for each in ringed.published()[1:]]
    assert [(each.held_until_ms, each.stall_wait_until_ms) for each in told] == list(dict.fromkeys(pauses))


def test_a_pause_whose_first_record_found_no_room_is_told_by_the_next_wakeup(ringed: Ringed) -> None:
    killer = ringed.killer
    quiet = killer.wake()
    while not killer.ring.skipped:
        killer.file(quiet._replace(aftermath=Aftermath(100, 1, 2, 0, 0)))
    killer.file(held(quiet, 7000, 0))
    ringed.published()
    killer.file(held(quiet, 7000, 0))
    assert [each.judgement.action for each in ringed.published()] == [Action.HELD]


def test_events_that_the_level_filter_ignores_are_left_out(ringed: Ringed) -> None:
    killer = ringed.killer
    quiet = killer.wake()
    for _ in range(3):
        killer.file(quiet._replace(judgement=quiet.judgement._replace(action=int(Action.IGNORED))))
    assert len(ringed.published()) == 1
    assert killer.ring.left_out().wakeups == 3
