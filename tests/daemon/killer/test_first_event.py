"""The first event of a real PSI trigger, in a cgroup whose tasks have stalled before: a tiny stall kills nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.core.config import Config, PolicyConfig, with_settings
from lmkd_py.core.vocabulary import KillReason
from lmkd_py.wire.record import Record
from tests.daemon.driver import Daemon, Trace, wait_until, write_config
from tests.kernel.cgroups import _JOIN, _SAY, HOLD, THRASH, Pen, fresh_file

FILE_MIB = 24
# Pages out its own file mapping and reads it back, once for each line it is told: some milliseconds of stall.
STUMBLE = (
    _JOIN
    + "fd = os.open(sys.argv[3], os.O_RDONLY)\nsize = os.fstat(fd).st_size\n"
    + "m = mmap.mmap(fd, size, prot=mmap.PROT_READ)\n"
    + "def look():\n    sum(m[at] for at in range(0, size, 4096))\n"
    + "[look() for _ in range(3)]\n"
    + _SAY
    + "for line in sys.stdin:\n    m.madvise(21, 0, size)\n    look()\n    print('in', flush=True)\n"
)


def total_us(pen: Pen, line: str) -> int:
    for text in (pen.twin / "memory.pressure").read_text().splitlines():
        if text.startswith(line):
            return int(text.rsplit("=", 1)[1])
    raise AssertionError(line)


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[Pen]:
    """A cgroup whose tasks have stalled for two seconds in their life, and one that may die at any level."""
    with Pen("first") as pen:
        holder = pen.start(HOLD, "50")
        thrasher = pen.start(THRASH, str(fresh_file(tmp_path, 96)))
        wait_until("there was much stall", lambda: total_us(pen, "full") > 1_100_000, 120)
        pen.stop(thrasher)
        pen.stop(holder)
        yield pen


def stumbler(pen: Pen, path: Path) -> subprocess.Popen[str]:
    with open(path, "wb") as file:
        for _ in range(FILE_MIB):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", STUMBLE, str(pen.directory), str(pen.twin), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    pen._children.append(child)
    assert child.stdout is not None
    assert child.stdout.readline() == "in\n"
    return child


@pytest.mark.pressure
@pytest.mark.slow
@pytest.mark.all_suite
def test_a_tiny_stall_after_start_and_after_a_reload_kills_nobody(stalled: Pen, tmp_path: Path) -> None:
    child = stumbler(stalled, tmp_path / "refault")
    root = tmp_path / "root"
    monitor = with_settings(
        stalled.monitor,
        strike={"enabled": 0},
        guarantee={"reserve_kb": 0},
        triggers={"vmpressure": 0, "psi_some_stall_ms": 0, "psi_full_stall_ms": 500},
    )
    write_config(root, Config(PolicyConfig(), monitor))
    daemon = Daemon(root)
    former = daemon.killer_pid
    try:
        for turn in range(2):
            for _ in range(20):  # a privileged trigger needs a real stall: then no event comes
                if len(events(root)) > turn:
                    break
                assert child.stdin is not None
                assert child.stdout is not None
                child.stdin.write("\n")
                assert child.stdout.readline() == "in\n"
                time.sleep(0.3)
            if turn == 0:
                write_config(root, Config(PolicyConfig(), with_settings(monitor, trace={"ring_slots": 64})))
                os.kill(daemon.pid, signal.SIGHUP)
                wait_until("the killer is another", lambda: daemon.status().killer_pid != former)
    finally:
        daemon.stop()
        daemon.end()
    trace = Trace(root)
    told = [(one.snapshot.event_stall_us, one.snapshot.event_threshold_us) for one in events(root)]
    assert trace.kills == [], told
    assert all(one.judgement.reason != KillReason.NOT_RESPONDING for one in trace.records), told
    trace.assert_replays()


def events(root: Path) -> list[Record]:
    return [one for one in Trace(root).records if one.snapshot.event_threshold_us > 0]
