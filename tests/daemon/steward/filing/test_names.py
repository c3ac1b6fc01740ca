"""Who a pid is, told once a file, and nothing kept of those who are gone."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from lmkd_py.daemon.steward.candidates.candidates import CandidateProcess, Candidates
from lmkd_py.daemon.steward.filing.journal import Journal
from tests.daemon.driver import Trace

BIRTHS = 10_000
KEPT_BYTES = 100_000  # at most, of ten thousand who came, were named and went


def test_ten_thousand_names_told_leave_nothing_in_memory(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), Candidates(16, 16))
    journal.trace.begin(b"")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for pid in range(1, BIRTHS + 1):
            journal.name(CandidateProcess(pid, 0, 900, -1, pid, "app"))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        journal.close()
    assert after - before < KEPT_BYTES
    assert [each.pid for each in Trace(tmp_path).processes] == list(range(1, BIRTHS + 1))


def test_a_name_is_told_once_a_file_and_again_in_the_next(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), Candidates(16, 16))
    journal.trace.begin(b"")
    process = CandidateProcess(7, 0, 900, -1, 1, "app")
    journal.name(process)
    journal.name(process)
    journal.trace._next_file()
    journal.name(process)
    journal.name(process)
    journal.close()
    assert [path.read_bytes().count(b"app") for path in sorted(tmp_path.glob("traces/*/*.lmkt"))] == [1, 1]
