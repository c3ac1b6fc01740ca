"""The steward copies the bytes of a record into the trace; it decodes the few that tell it something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.snapshot import Outcome
from lmkd_py.core.vocabulary import ABSENT, Action
from lmkd_py.daemon.steward.filing import journal
from lmkd_py.daemon.steward.filing.holds import Holds
from lmkd_py.wire.peek import peek
from lmkd_py.wire.record import Record, unpack_record
from tests.analysis.paper import PaperKiller, packed
from tests.daemon.driver import Trace
from tests.daemon.rig import Rig
from tests.daemon.steward.filing.ways import NOBODY, file, with_rows


class Decoded:
    """How many whole records are decoded while they are filed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(journal, "unpack_record", self.unpack)

    def unpack(self, data: bytes) -> Record:
        self.count += 1
        return unpack_record(data)


def test_wakeups_and_kills_are_filed_undecoded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = Decoded(monkeypatch)
    kill = with_rows(rig.paper.wakeup())._replace(outcome=Outcome(NOBODY, 900, ABSENT, 1, 0, 1))
    file(rig, rig.paper.wakeup(), with_rows(rig.paper.wakeup()), kill, kill._replace(observe=1))
    assert decoded.count == 0
    assert rig.steward.journal.kills == 1
    found = Trace(rig.root).records
    assert [len(record.snapshot.candidates) for record in found] == [0, 3, 3, 3]
    assert found[2] == kill._replace(seq=2)


STATES = st.tuples(st.sampled_from([Action.HELD, Action.KILL, Action.NONE]), *(st.integers(0, 2) for _ in range(3)))


@given(states=st.lists(STATES, max_size=12))
def test_a_record_that_is_left_undecoded_tells_nothing_of_a_pause(states: list[tuple[int, int, int, int]]) -> None:
    paper, all_seen, some_seen = PaperKiller(), Holds(), Holds()
    for action, futile_kills, held_until_ms, stall_wait_until_ms in states:
        calm = paper.wakeup()
        state = calm.judgement.state._replace(
            futile_kills=futile_kills, held_until_ms=held_until_ms, stall_wait_until_ms=stall_wait_until_ms
        )
        record = calm._replace(judgement=calm.judgement._replace(action=int(action), state=state))
        all_seen.see(record)
        if some_seen.cares(peek(packed(record))):
            some_seen.see(record)
        assert vars(all_seen) == vars(some_seen)


def test_a_pause_is_decoded_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = Decoded(monkeypatch)
    calm = rig.paper.wakeup()
    state = calm.judgement.state._replace(futile_kills=3, futile_kb=9000, hold_ms=1000, held_until_ms=5000)
    held = calm._replace(judgement=calm.judgement._replace(action=int(Action.HELD), min_adj=ABSENT, state=state))
    file(rig, calm, held, held, held)
    assert decoded.count == 1
    file(rig, calm, calm)
    assert decoded.count == 2
