"""What candidates have in swap reaches the killer, and with it the record of a kill."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon.steward.candidates import swap_sizes
from lmkd_py.daemon.steward.candidates.candidates import CandidateProcess, Candidates
from lmkd_py.kernel.acting.process import parse_swap_kb, read_swap_kb
from tests.daemon.pair import Pair

STATUS = b"Name:\tapp\nVmRSS:\t    1200 kB\nVmSwap:\t   %s kB\nThreads:\t1\n"


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def child() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _registered(pair: Pair, pid: int) -> tuple[Candidates, CandidateProcess]:
    candidates = Candidates(8, 4)
    candidates.outbox = pair.outbox
    process = candidates.register(pid, 10001, 900)
    assert process is not None
    return candidates, process


def test_swap_is_read_from_a_status_file_and_its_damage_is_named() -> None:
    assert parse_swap_kb(STATUS % b"4321", "/proc/9/status") == 4321
    assert parse_swap_kb(b"Name:\tzombie\nThreads:\t1\n", "/proc/9/status") == 0
    with pytest.raises(ValueError, match="/proc/9/status"):
        parse_swap_kb(STATUS % b"many", "/proc/9/status")
    assert read_swap_kb(os.getpid()) >= 0


def test_the_killer_learns_what_a_candidate_has_in_swap(
    pair: Pair, child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates, process = _registered(pair, child)
    sizes = {child: 8192}
    monkeypatch.setattr(swap_sizes, "read_swap_kb", lambda pid: sizes[pid])
    pair.carry()
    assert pair.roster.swap[process.row] == ABSENT
    assert swap_sizes.tell(candidates, 0) == 0  # a board without swap
    for kb, told in ((8192, 1), (8200, 0), (4096, 1), (0, 1), (0, 0)):
        sizes[child] = kb
        assert swap_sizes.tell(candidates, 1 << 20) == told
        pair.carry()
    assert pair.roster.swap[process.row] == 0


@pytest.mark.parametrize(
    ("took_s", "next_s"), [(0.001, swap_sizes.GAP_S), (0.1, 0.1 * swap_sizes.COST), (1.0, swap_sizes.LONGEST_S)]
)
def test_sizes_are_looked_at_once_a_second_and_less_often_where_that_takes_long(
    monkeypatch: pytest.MonkeyPatch, took_s: float, next_s: float
) -> None:
    now_s, looks = 50.0, []

    def tell(candidates: object, swap_total_kb: int) -> None:
        nonlocal now_s
        looks.append(now_s)
        now_s += took_s

    monkeypatch.setattr(swap_sizes, "monotonic", lambda: now_s)
    monkeypatch.setattr(swap_sizes, "tell", tell)
    monkeypatch.setattr(swap_sizes, "look", lambda domain: SimpleNamespace(swap_total_kb=1 << 20))
    sizes = swap_sizes.SwapSizes()
    while len(looks) < 3:
        sizes.tend(None, None, 7)  # type: ignore[arg-type]
        now_s += 0.01
    assert [later - sooner for sooner, later in itertools.pairwise(looks)] == pytest.approx(
        [took_s + next_s] * 2, abs=0.02
    )


def test_another_killer_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(swap_sizes, "tell", lambda candidates, swap_total_kb: looks.append(swap_total_kb))
    monkeypatch.setattr(swap_sizes, "look", lambda domain: SimpleNamespace(swap_total_kb=1 << 20))
    sizes = swap_sizes.SwapSizes()
    for killer_pid in (7, 7, 8):
        sizes.tend(None, None, killer_pid)  # type: ignore[arg-type]
    assert len(looks) == 2


def test_whoever_gets_a_row_next_does_not_inherit_the_swap_of_the_one_before(
    pair: Pair, child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates, process = _registered(pair, child)
    monkeypatch.setattr(swap_sizes, "read_swap_kb", lambda pid: 8192)
    swap_sizes.tell(candidates, 1 << 20)
    pair.carry()
    row = process.row
    assert pair.roster.candidate(row, 0).swap_pages == 2048 * 4096 // os.sysconf("SC_PAGE_SIZE")
    candidates.remove(child)
    again = candidates.register(child, 10001, 900)
    assert again is not None
    assert again.row == row
    pair.carry()
    assert pair.roster.candidate(row, 0).swap_pages == ABSENT
