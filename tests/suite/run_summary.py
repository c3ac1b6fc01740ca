"""What a run says in the end: the minutes of each room, and what was skipped and why, for somebody new here."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict

import pytest

from tests.suite.lanes import room_of
from tests.support import IS_ROOT, SUITE_ALL


class RunSummary:
    """Collects reports, of this process or of workers."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.tests: Counter[str] = Counter()
        self.skips: dict[str, Counter[str]] = defaultdict(Counter)  # why -> room -> tests

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test to its room."""
        room = room_of(report.nodeid)
        self.seconds[room] += report.duration
        self.tests[room] += report.when == "setup"
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skips[report.longrepr[2].removeprefix("Skipped: ")][room] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the minutes of each room and the skips."""
        self._rooms(terminalreporter)
        if self.skips:
            self._skips(terminalreporter)

    def _rooms(self, terminal: pytest.TerminalReporter) -> None:
        workers = len({report.node for report in terminal.stats.get("passed", ()) if hasattr(report, "node")}) or 1
        wall_s, load = time.monotonic() - self.began, os.getloadavg()[0]
        terminal.section("minutes of each room")
        for room, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            terminal.write_line(f"{seconds / 60:6.1f}  {room} ({self.tests[room]} tests)")
        total = sum(self.seconds.values())
        beside = f", {workers} workers beside each other" if workers > 1 else ""
        terminal.write_line(
            f"{total / 60:6.1f}  all rooms{beside}: {wall_s / 60:.1f} minutes on the clock, load {load:.1f}"
        )

    def _skips(self, terminal: pytest.TerminalReporter) -> None:
        count = sum(sum(rooms.values()) for rooms in self.skips.values())
        terminal.section(f"SKIPPED: {count} of {sum(self.tests.values())} tests did not run", yellow=True, bold=True)
        terminal.write_line("What they test is not shown by this run. Why they did not run:", yellow=True)
        for why, rooms in sorted(self.skips.items(), key=lambda item: -sum(item[1].values())):
            where = ", ".join(f"{number} in {room}" for room, number in rooms.most_common())
            terminal.write_line(f"{sum(rooms.values()):5}  {why} ({where})", yellow=True)
        terminal.write_line(_remedy(), yellow=True, bold=True)


def _remedy() -> str:
    if not IS_ROOT:
        return (
            "Those that need root run with: sudo make test. All run, in most of an hour, with: sudo make test SUITE=all"
        )
    if not SUITE_ALL:
        return "All run, in most of an hour, with: make test SUITE=all"
    return "Each line says what was missing."
