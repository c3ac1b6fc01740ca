"""When paging out ends though somebody is left: a candidate goes, swap runs short, the steward's work is over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import EACCES
from pathlib import Path

import pytest

from lmkd_py.core.vocabulary import ABSENT, NoteKind
from lmkd_py.daemon.steward.candidates import swap_sizes
from lmkd_py.daemon.steward.ending import finish
from lmkd_py.daemon.steward.paging_out import GROWN_S, LOOK_S, SLICE_S
from tests.daemon.rig import Rig
from tests.daemon.steward.paging_bench import Bench


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """In the middle of the first process, of adj 900."""
    rig = Rig(tmp_path / "root")
    made = Bench(rig)
    made.take_over(monkeypatch)
    made.call_s = SLICE_S
    made.turn()
    made.now_s += LOOK_S
    made.turn()
    assert made.paged() == [900]
    made.call_s = 0.0  # else a large test process takes thousands of turns
    yield made
    rig.close()


def test_who_is_no_candidate_any_more_is_not_gone_on_with(begun: Bench) -> None:
    """It lives, but its pidfd is closed: the number may be another process's by now."""
    begun.rig.steward.candidates.remove(begun.pid_of(900))
    begun.calls.clear()
    begun.turns()
    assert begun.paged() == [700]


def test_once_swap_is_used_up_nothing_is_due_any_more(begun: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))
    begun.memory.update(swap_total_kb=2_000_000, swap_free_kb=300_000)
    begun.call_s = SLICE_S  # the first one is not done with when that is seen
    begun.turns(50)
    assert begun.part.wait_s() < 0
    assert len(os.listdir("/proc/self/fd")) == before - 1, "its maps are closed"
    assert begun.notes() == [(NoteKind.PAGED_OUT, 1, 0)]


def test_the_end_of_the_stewards_work_is_the_end_of_it(begun: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))
    begun.part.end(begun.rig.steward)
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert begun.notes() == [(NoteKind.PAGED_OUT, 1, 0)]
    assert "paging_out" in finish.__code__.co_names


def test_the_killer_is_told_at_once_what_went_to_swap(begun: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it takes the first in line for small, and another dies for being three times as large."""
    process = begun.rig.steward.candidates.processes[begun.pid_of(900)]
    assert begun.rig.pair.roster.swap[process.row] == ABSENT
    monkeypatch.setattr(swap_sizes, "read_swap_kb", lambda pid: 8192)
    begun.turns()
    begun.rig.pair.carry()
    assert begun.rig.pair.roster.swap[process.row] == 8192 * 1024 // os.sysconf("SC_PAGE_SIZE")


def test_who_may_not_be_paged_out_is_not_opened_again_and_again(begun: Bench) -> None:
    begun.errors = dict.fromkeys(begun.rig.adjs, EACCES)
    begun.turns()
    begun.calls.clear()
    begun.now_s += 2 * GROWN_S
    begun.part.heed()
    begun.turns()
    assert not begun.calls
    assert [note.number for note in begun.part.notes()] == []
