"""Findings of a review, each as it was seen to happen once: neither process may die or lose the other."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decision import Judgement
from lmkd_py.core.snapshot import NO_OUTCOME
from lmkd_py.core.state import INITIAL
from lmkd_py.daemon.killer.evaluate import Evaluator
from lmkd_py.daemon.killer.roster import Roster
from lmkd_py.daemon.killer.strike import Striker
from lmkd_py.daemon.steward.candidates.procs_file import Line, parse_procs
from lmkd_py.daemon.steward.filing.trace_file import TraceFile
from lmkd_py.daemon.steward.killers.keeper import wait_readable
from lmkd_py.kernel.protection.lasting import forget_lasting
from tests.daemon.driver import BOOT, Daemon, Trace, is_killer, wait_until
from tests.support import REPO_ROOT, needs_cgroup

Start = Callable[..., Daemon]


@pytest.mark.all_suite
@pytest.mark.pressure
@pytest.mark.slow
def test_a_killer_is_replaced_whatever_numbers_its_descriptors_have(board: Sandbox, start: Start) -> None:
    for number in range(60):
        board.start_app(f"cached-{900 + number}", 900 + number, 0.5)
    daemon = start(board)
    for number in range(60, 80):
        board.start_app(f"cached-{900 + number}", 900 + number, 0.5)
        former = daemon.status().killer_pid
        os.kill(former, signal.SIGKILL)
        wait_until("another one is live", lambda former=former: _replaced(daemon, former))  # type: ignore[misc]
    daemon.killer_pid = daemon.status().killer_pid
    board.start_hog(0, 60, limit_mib=235)
    wait_until("it kills", lambda: not board.apps[79].is_alive())
    assert daemon.stop() == 0


def _replaced(daemon: Daemon, former: int) -> bool:
    status = daemon.status()
    return status.killer_pid != former and bool(status.armed)


def test_descriptors_above_a_thousand_can_be_waited_for() -> None:
    reader, writer = os.pipe()
    high = os.dup2(reader, 1500)
    assert wait_readable((high,), 0) == []
    os.write(writer, b"x")
    assert wait_readable((high,), 1) == [1500]
    for fd in (reader, writer, high):
        os.close(fd)


FORKED = """
import os, signal, sys
from lmkd_py.core.config import Config, MonitorConfig, StrikeConfig
from lmkd_py.daemon.steward.killers.kernel_strike import load_kernel_strike
from lmkd_py.daemon.steward.killers.keeper import fork_killer
from lmkd_py.kernel.acting.syscalls import eventfd
config = Config(monitor=MonitorConfig(strike=StrikeConfig(enabled=0)))
killer = fork_killer(sys.argv[1], config, 1, 16, (), eventfd(), load_kernel_strike(sys.argv[1], config.monitor, 1))
print(killer.pid, flush=True)
signal.pause()
"""


@needs_cgroup
def test_a_killer_in_stand_by_ends_with_its_steward(tmp_path: Path) -> None:
    steward = subprocess.Popen(
        [sys.executable, "-c", FORKED, str(tmp_path)], cwd=REPO_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert steward.stdout is not None
    killer = int(steward.stdout.readline())
    steward.kill()
    steward.wait()
    steward.stdout.close()
    wait_until("it is gone", lambda: not _lives(killer))
    forget_lasting(str(tmp_path))  # what a next steward would do


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@needs_cgroup
@pytest.mark.slow
def test_a_stranger_in_the_killers_file_is_left_alone(board: Sandbox, start: Start, tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    ticks = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]
    tmp_path.joinpath("killers").write_text(f"{stranger.pid} {ticks}\nnonsense\n1 2 3\n")
    daemon = start(board)
    assert stranger.poll() is None
    assert daemon.stop() == 0
    stranger.kill()
    stranger.wait()


def test_the_search_ends_when_only_the_dead_are_left_at_zero() -> None:
    roster = Roster(4)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    roster.add(0, (pid, 0, 0, 0, 1, 1), os.pidfd_open(pid))
    evaluator = Evaluator.__new__(Evaluator)
    evaluator.roster = roster
    evaluator.striker = Striker(roster, (), False)
    judgement = Judgement._make([5, 1, 0, *[0] * (len(Judgement._fields) - 4), INITIAL])
    assert evaluator._search(judgement, 0, PolicyConfig(), 0, 0) == NO_OUTCOME
    roster.drop(0)
    os.waitpid(pid, 0)


def test_numbers_that_no_record_can_hold_are_refused_where_they_are_read() -> None:
    lines, refused = parse_procs(b"12 4294967295 900\n12 4294967296 900\n2147483648 0 900\n-1 0 900\n")
    assert lines == [Line(12, 4294967295, 900)]
    assert len(refused) == 3


@needs_cgroup
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_a_registration_file_that_is_none_is_complained_of(
    board: Sandbox, start: Start, tmp_path: Path, kind: str
) -> None:
    if kind == "directory":
        tmp_path.joinpath("procs").mkdir()
    else:
        os.mkfifo(tmp_path / "procs")
    daemon = start(board)
    assert daemon.status().armed
    assert daemon.stop() == 0
    (complaint,) = Trace(tmp_path).noted("refused")
    assert str(tmp_path / "procs") in complaint.text


@needs_cgroup
@pytest.mark.slow
def test_nobody_has_to_listen_to_what_it_says(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    assert daemon.process.stdout is not None
    assert daemon.process.stderr is not None
    daemon.process.stdout.close()
    daemon.process.stderr.close()
    (tmp_path / "config.bin").write_bytes(b"\xff\xff")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until("it has refused the config", lambda: bool(Trace(tmp_path).noted("reload-refused")))
    assert daemon.status().armed
    assert is_killer(daemon.killer_pid)
    assert daemon.stop() == 0


def test_a_disk_that_refuses_the_next_file_leaves_the_old_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> tuple[str, int]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    trace = TraceFile(str(tmp_path), BOOT)
    trace.begin(b"header")
    monkeypatch.setattr(trace.place, "create", full)
    trace.bytes = 1 << 40
    trace.record(b"record")
    assert trace.records == 1
    trace.close()
