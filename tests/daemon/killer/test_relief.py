"""Who goes first for its size, when strikes at others fail before: the evaluator by itself, which only observes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from lmkd_py.core.config import MonitorConfig, PolicyConfig
from lmkd_py.core.decide import conclude, judge
from lmkd_py.core.snapshot import Outcome
from lmkd_py.core.state import INITIAL
from lmkd_py.core.vocabulary import PolicyKind
from lmkd_py.daemon.killer.evaluate import Evaluator
from lmkd_py.daemon.killer.reaper import Reapers
from lmkd_py.daemon.killer.ring import Ring
from lmkd_py.daemon.killer.strike import Striker
from lmkd_py.daemon.killer.victim import Awaited
from lmkd_py.kernel.acting.syscalls import eventfd, pidfd_open
from lmkd_py.kernel.sensing.domain import open_domain
from tests.core.steady_board import BOARD, SHORT
from tests.core.values import make_snapshot
from tests.daemon.pair import Pair

STEADY = PolicyConfig(kind=int(PolicyKind.STEADY))


class Line:
    """Processes in line, as the killer knows them: row 0 is the first."""

    def __init__(self) -> None:
        self.pair = Pair()
        self.domain = open_domain(MonitorConfig())
        self.notify = eventfd()
        striker = Striker(self.pair.roster, (), observe=True)
        awaited = Awaited(self.pair.shared, Reapers())
        ring = Ring(self.pair.shared, self.notify)
        self.evaluator = Evaluator(self.domain, self.pair.inbox, striker, awaited, ring, None)
        self.processes: list[subprocess.Popen[bytes]] = []

    def add(self, pages: int, dead: bool = False, pinned: bool = False, raised: bool = False) -> int:
        """One process more at the end of the line; its pid. `pinned`: its size is read, and is not `pages`."""
        process = subprocess.Popen(["sleep", "1000"])
        self.processes.append(process)
        row = len(self.processes) - 1
        roster, adj = self.pair.roster, 950 - row
        with open(f"/proc/{process.pid}/oom_score_adj", "w") as file:
            file.write(str(0 if raised else adj))
        roster.add(row, (process.pid, 0, adj, pages, 1, row), pidfd_open(process.pid))
        if pinned or raised:
            adj_fd = os.open(f"/proc/{process.pid}/oom_score_adj", os.O_RDONLY)
            if pinned:
                roster.size(row, os.open(f"/proc/{process.pid}/statm", os.O_RDONLY), adj_fd)
            else:
                roster.pin(row, adj_fd)
        if dead:
            process.kill()
            process.wait()
        return process.pid

    def strike(self) -> Outcome:
        """One verdict; the record's candidates have to lead replay to the same victim."""
        snapshot = make_snapshot(**{**BOARD, **SHORT})
        judgement = judge(snapshot, INITIAL, STEADY)
        outcome = self.evaluator._strike(judgement, snapshot.now_ms, STEADY)
        told = self.evaluator._considered
        assert [one.pid for one in told] == [one.pid for one in conclude(judgement, told, STEADY).victims]
        assert told[0].pid == outcome.pid
        return outcome

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        for row in range(len(self.processes)):
            self.pair.roster.drop(row)
        os.close(self.notify)
        self.domain.close()
        self.pair.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.mark.parametrize("pinned", [True, False])
def test_a_first_in_line_that_is_dead_does_not_save_the_leaker(line: Line, pinned: bool) -> None:
    line.add(10, dead=True, pinned=pinned)
    line.add(10)
    leaker = line.add(1000)
    outcome = line.strike()
    assert outcome.pid == leaker


def test_a_leaker_that_is_dead_does_not_save_the_next_one(line: Line) -> None:
    line.add(10)
    line.add(5000, dead=True)
    leaker = line.add(1000)
    outcome = line.strike()
    assert (outcome.pid, outcome.attempts) == (leaker, 2)


def test_a_first_in_line_that_has_become_important_is_passed_over_and_relief_goes_on(line: Line) -> None:
    line.add(400, raised=True)
    line.add(10)
    leaker = line.add(1000)
    assert line.strike().pid == leaker


def test_where_nobody_lives_the_search_ends(line: Line) -> None:
    for _ in range(3):
        line.add(10, dead=True)
    outcome = line.evaluator._strike(judge(make_snapshot(**{**BOARD, **SHORT}), INITIAL, STEADY), 1, STEADY)
    assert (outcome.pid, outcome.attempts) == (0, 3)
