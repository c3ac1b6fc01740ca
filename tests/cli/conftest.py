"""A trace on paper and a way to run lmkctl in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from lmkd_py.cli.app import run
from lmkd_py.core.config import Config
from lmkd_py.core.snapshot import Candidate
from lmkd_py.core.vocabulary import ReclaimState
from lmkd_py.wire.header import Process
from lmkd_py.wire.record import Record
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write
from tests.host.conftest import adb_key, rack  # noqa: F401  (fixtures)


class Said(NamedTuple):
    """Exit code and output of one lmkctl command."""

    code: int
    out: str
    err: str


Lmkctl = Callable[..., Said]


@pytest.fixture
def lmkctl(capsys: pytest.CaptureFixture[str]) -> Lmkctl:
    """lmkctl(*words) -> exit code and both streams."""

    def call(*words: object) -> Said:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return Said(code, *capsys.readouterr())

    return call


def paper_records(kills: int = 2) -> list[Record]:
    """Wakeups of which so many end in a kill, pids from 41."""
    killer = PaperKiller()
    killer.candidates = tuple(Candidate(41 + one, 10_041 + one, 905 - one, 5000, 7, one) for one in range(kills + 1))
    records = [killer.wakeup(**LOW_MEM, kswapd_progress=100)]
    while sum(record.outcome.pid > 0 for record in records) < kills:
        scanned = records[-1].snapshot.kswapd_progress + 1000
        records.append(killer.wakeup(1000, **LOW_MEM, kswapd_progress=scanned))
        assert len(records) < 50, f"no kills on paper; reclaim {ReclaimState(records[-1].judgement.reclaim).name}"
    return records


@pytest.fixture
def paper_trace(tmp_path: Path) -> Path:
    """Two kills, of `alpha` and of a process whose name tries everything."""
    names = (Process(41, 7, 10_041, "alpha"), Process(42, 7, 10_042, HOSTILE))
    return write(tmp_path / "0001.lmkt", header(Config()), *names, *paper_records())


# Clears the screen, sets the title, rings, ends the line, is markup to rich, quotes, and reads backwards.
HOSTILE = "a\x1b[2J\x1b]0;t\x07\r\n[red]\"'\\\u202ez\x9b"
