"""Candidates in their order: as a sort has it, without looking at everybody for one change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.steward.candidates import candidates as module
from lmkd_py.daemon.steward.candidates.candidates import CandidateProcess, Candidates
from lmkd_py.daemon.steward.candidates.pins import close_all
from lmkd_py.kernel.acting.syscalls import eventfd

LIMIT = 3
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["register", "refresh", "remove", "mend", "size"]), st.integers(2, 12), st.integers(0, 3)
    ),
    max_size=60,
)


class Killer:
    """What a killer would make of the outbox: rows, and who of them has which files."""

    def __init__(self) -> None:
        self.backlog: list[None] = []
        self.shared = self
        self.words = [0] * 64
        self.rows: set[int] = set()
        self.sized: set[int] = set()
        self.pinned: set[int] = set()

    def put(self, op: int, row: int, values: tuple[int, ...] = (), fds: tuple[int, ...] = ()) -> None:
        close_all(fds)
        if op in (layout.ADD, layout.DROP):
            for kept in (self.rows, self.sized, self.pinned):
                kept.discard(row)
        if op == layout.ADD:
            self.rows.add(row)
        elif op == layout.SIZED:
            assert row in self.rows
            self.sized.add(row)
            self.pinned.add(row)
        elif op == layout.PINNED:
            self.pinned.add(row)
        elif op == layout.UNSIZED:
            self.sized.remove(row)


class Paper(Candidates):
    """Candidates that are no processes."""

    def _identify(self, pid: int, uid: int, adj: int, start_ticks: int) -> CandidateProcess:
        return CandidateProcess(pid, uid, adj, eventfd(), 7, "paper")

    def _same(self, known: CandidateProcess, start_ticks: int) -> bool:
        return True


Make = Callable[[int], tuple[Paper, Killer]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """make(rows) -> candidates, and the killer that they are told to."""
    monkeypatch.setattr(module, "pin", lambda *_: ())
    made: list[Paper] = []

    def one(rows: int) -> tuple[Paper, Killer]:
        candidates, killer = Paper(rows, LIMIT), Killer()
        candidates.outbox = killer  # type: ignore[assignment]
        made.append(candidates)
        return candidates, killer

    yield one
    for candidates in made:
        candidates.outbox = None
        for pid in list(candidates.processes):
            candidates.remove(pid)
        candidates.deaths.close()


def in_order(candidates: Candidates, min_adj: int = 0) -> list[CandidateProcess]:
    """What a sort makes of them."""
    everybody = [each for each in candidates.processes.values() if each.adj >= min_adj]
    return sorted(everybody, key=lambda each: (-each.adj, each.age))


def change(candidates: Candidates, what: str, pid: int, adj: int) -> None:
    if what in ("register", "refresh"):
        candidates.register(pid, 0, adj, ABSENT, refresh=what == "refresh")
    elif what == "remove":
        candidates.remove(pid)
    elif what == "mend":
        candidates.mend()
    else:
        candidates.assign_sizes()


@given(changes=CHANGES)
def test_order_and_sizes_are_those_of_a_sort_after_any_changes(changes: list[tuple[str, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pin", lambda *_: ())
        candidates, killer = Paper(16, LIMIT), Killer()
        candidates.never = set()
        candidates.outbox = killer  # type: ignore[assignment]
        for what, pid, adj in changes:
            change(candidates, what, pid, adj)
            for count, min_adj in ((2, 0), (99, 0), (99, 2)):
                assert candidates.most_expendable(count, min_adj) == in_order(candidates, min_adj)[:count]
            if what == "size":
                assert killer.sized == {each.row for each in in_order(candidates)[:LIMIT]}
                assert killer.rows == killer.pinned == {each.row for each in candidates.processes.values()}
        for pid in list(candidates.processes):
            candidates.remove(pid)
        candidates.deaths.close()


class Crowd(dict[int, CandidateProcess]):
    """Nobody is to walk through it."""

    def walked(self, *_: object) -> Iterator[int]:
        raise AssertionError("everybody is looked at")

    __iter__ = keys = values = items = walked  # type: ignore[assignment]


def test_a_change_among_many_looks_at_few(make: Make) -> None:
    candidates, killer = make(256)
    for pid in range(1000, 1200):
        candidates.register(pid, 0, 900 + pid % 3)
    candidates.assign_sizes()
    first, second, *_ = in_order(candidates)
    crowd, candidates.processes = candidates.processes, Crowd(candidates.processes)
    candidates.register(1199, 0, 950)
    candidates.register(2000, 0, 940)
    candidates.remove(first.pid)
    candidates.assign_sizes()
    candidates.assign_sizes()
    assert [each.pid for each in candidates.most_expendable(3, 0)] == [1199, 2000, second.pid]
    assert len(candidates._unpinned) <= LIMIT
    candidates.processes = {
        **{pid: each for pid, each in crowd.items() if pid != first.pid},
        2000: candidates.processes[2000],
    }
    assert killer.pinned == {each.row for each in candidates.processes.values()}
