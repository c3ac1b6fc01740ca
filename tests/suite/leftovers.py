"""At the end of a run nothing of it may be left: no process, no cgroup, no mount, no BPF pin. Else the run fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.suite.ledger import VARIABLE, Ledger

CGROUPS = Path("/sys/fs/cgroup")
PINS = Path("/sys/fs/bpf")
MEMORY = Path("/dev/shm")
# Facilities of the machine that a test mounts where they are missing; everybody on the machine uses them then.
SHARED_MOUNTS = {"/sys/fs/bpf", "/sys/kernel/tracing", "/sys/kernel/debug/tracing"}
_PIDS = re.compile(r"(?<![0-9a-z])[0-9]+(?![0-9a-z])")  # in lmkd_board_PID_N, lmkd_selftest_PID, and pin directories


class Things(NamedTuple):
    """What can be left behind and has no process of its own: paths, and mount points with their sources."""

    cgroups: frozenset[str]
    mounts: frozenset[str]
    pins: frozenset[str]
    memory: frozenset[str]


def things() -> Things:
    with open("/proc/self/mountinfo") as file:
        rows = [line.split() for line in file]
    mounts = {f"{row[4]} (mount {row[0]})" for row in rows if row[4] not in SHARED_MOUNTS}
    return Things(frozenset(_named(CGROUPS)), frozenset(mounts), frozenset(_named(PINS)), frozenset(_files(MEMORY)))


def _files(top: Path) -> Iterator[str]:
    """Memory of killers, named after root, steward and number."""
    return (str(path) for path in top.glob("lmkd_py-*"))


def _named(top: Path) -> Iterator[str]:
    """Directories with a name of ours, and what lies below them."""
    for folder, names, _ in os.walk(top, onerror=lambda error: None):
        inside = any(part.startswith("lmkd") for part in Path(folder).relative_to(top).parts)
        yield from (os.path.join(folder, name) for name in names if inside or name.startswith("lmkd"))


class Watch:
    """One run: what was there before it, which processes belong to it, and what is left in the end."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s  # for what is just ending
        outer = os.environ.get(VARIABLE, "")
        self.run = f"{outer}/" * bool(outer) + f"{os.getpid()}-{time.monotonic_ns()}"
        os.environ[VARIABLE] = self.run
        self.before = things()
        self.lines: list[str] = []
        self.remarks: list[str] = []
        self._outer = outer
        words = [sys.executable, "-I", "-S", str(Path(__file__).with_name("ledger.py")), self.run]
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        self._ledger = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )

    def finish(self, places: tuple[str, ...]) -> None:
        """Wait for what is ending, then fill `lines` with what stays. `places`: directories of this run's files."""
        said, _ = self._ledger.communicate()
        noted = json.loads(said)
        ledger = Ledger(self.run)
        ledger.lives = {int(pid): lives for pid, lives in noted["lives"].items()}
        alone = not noted["others"] and not self._outer
        deadline = time.monotonic() + self.patience_s
        while True:
            self.lines, self.remarks = _compare(self.before, things(), ledger, alone, places)
            if not self.lines or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        os.environ[VARIABLE] = self._outer
        if not self._outer:
            del os.environ[VARIABLE]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run for what is left."""
        factory = getattr(session.config, "_tmp_path_factory", None)
        self.finish((str(factory.getbasetemp()),) if factory else ())
        if self.lines and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is left, and that the run failed for it."""
        if self.lines:
            terminalreporter.section("FAILED: left behind by this run", red=True)
            for line in self.lines:
                terminalreporter.write_line(line, red=True)
        for line in self.remarks:
            terminalreporter.write_line(f"new since the start, but maybe of a parallel run: {line}", yellow=True)


def _compare(
    before: Things, now: Things, ledger: Ledger, alone: bool, places: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """What this run left, and what is new but need not be of this run. `alone`: no other run was seen meanwhile."""
    # A zombie that another process has to wait for is nobody's of this run any more.
    here = ledger.look()
    pids = {each.pid for each in here} | {os.getpid()}
    lines = [
        _process(each.pid) for each in here if each.pid != os.getpid() and (each.state != "Z" or each.ppid in pids)
    ]
    remarks: list[str] = []
    for path in sorted(now.mounts - before.mounts):
        ours = any(path.startswith(place) for place in places)
        (lines if ours or alone else remarks).append(f"mount {path}")
    for kind, fresh in (
        ("cgroup", now.cgroups - before.cgroups),
        ("BPF pin", now.pins - before.pins),
        ("named memory", now.memory - before.memory),
    ):
        for path in sorted(fresh):
            owners = {int(number) for number in _PIDS.findall(os.path.basename(path))}
            made_s = _made_s(path)
            if alone or any(ledger.lived(pid, made_s) for pid in owners):
                lines.append(f"{kind} {path}")
            elif not any(os.path.exists(f"/proc/{pid}") for pid in owners):  # else somebody else's, who is at work
                remarks.append(f"{kind} {path}")
    return lines, remarks


def _made_s(path: str) -> float:
    """When it was made, or had its attributes changed: seconds since boot."""
    try:
        return os.stat(path).st_ctime - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
    except OSError:
        return -1.0


def _process(pid: int) -> str:
    """Who it is, and the test that started it."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        state = re.search(r"^State:\s+(.*)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return f"process {pid}"
    test = next((word.partition(b"=")[2].decode() for word in words if word.startswith(b"PYTEST_CURRENT_TEST=")), "")
    said = f"process {pid} ({state.group(1) if state else '?'}): {command[:160] or 'no command line'}"
    return said + (f", started by {test}" if test else "")
