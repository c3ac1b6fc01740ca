"""The table of the bench on emulated ARM boards; tests/board/qemu/test_outcome.py has the boards."""

from __future__ import annotations

from tools.bench.arm import report

NOTHING = {
    "deaths": [], "wrong": [], "oom_kills": 0, "recovery_s": 4.0, "system_major_faults": 1000, "major_faults": 2,
    "cpu_ms": 80, "rss_kb": 20_000, "pss_kb": 12_000,
}  # fmt: skip


def test_the_table_has_medians_and_says_what_did_not_recover() -> None:
    worse = {**NOTHING, "recovery_s": -1.0, "system_major_faults": 5000, "oom_kills": 2}
    better = {**NOTHING, "recovery_s": 1.0}
    nobody = {**NOTHING, "rss_kb": 0, "pss_kb": 0, "recovery_s": -1.0}
    lines = report([("one 1.0", [worse, NOTHING, better]), ("two", [nobody])], "a board").splitlines()
    assert lines[2] == "| one 1.0 | 3 | 0 | 0 | 0 | 2, 2.5 | 1,000, 2 | 80 | 20.0 / 12.0 |"
    assert lines[3] == "| two | 1 | 0 | 0 | 0 | 0, - | 1,000, - | - | - |"
