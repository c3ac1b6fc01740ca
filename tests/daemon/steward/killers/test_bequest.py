"""What a killer leaves when it dies with its steward, or in the middle of a strike: filed, or declared lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.kernel.protection.lasting import find_lasting, forget_lasting, make_lasting, open_lasting
from tests.daemon.driver import Daemon, Trace, is_killer, wait_until
from tests.support import REPO_ROOT, needs_cgroup

Start = Callable[..., Daemon]


def crowd(board: Sandbox, count: int) -> None:
    for number in range(count):
        board.start_app(f"cached-{900 + number}", 900 + number, 5)


def dead(board: Sandbox) -> set[int]:
    return {app.pid for app in board.apps if app.adj and not app.is_alive()}


@pytest.mark.pressure
@pytest.mark.slow
def test_what_a_pair_recorded_before_both_died_is_filed_by_the_next(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    crowd(board, 20)
    daemon = start(board)
    os.kill(daemon.pid, signal.SIGSTOP)
    board.start_hog(0, 60, limit_mib=230)
    wait_until("six have died, and nobody has filed it", lambda: len(dead(board)) >= 6)
    os.kill(daemon.killer_pid, signal.SIGKILL)
    daemon.kill()
    wait_until("the killer is gone", lambda: not is_killer(daemon.killer_pid))
    victims = dead(board)
    board.stop_pressure()
    later = start(board)
    assert later.stop() == 0
    trace = Trace(tmp_path)
    by_former = {kill.outcome.pid for kill in trace.kills if kill.killer_pid == daemon.killer_pid}
    assert by_former == victims
    assert [note.number for note in trace.noted("bequest")] == [daemon.killer_pid]
    assert find_lasting(str(tmp_path)) == [], "nothing is left once it is filed"


@pytest.mark.pressure
@pytest.mark.slow
def test_a_killer_ended_between_a_strike_and_its_record_is_told_of(board: Sandbox, tmp_path: Path) -> None:
    crowd(board, 10)
    board.write_root(str(tmp_path), Config(PolicyConfig(), board.monitor_config()))
    flag = tmp_path / "died"
    program = [
        sys.executable,
        "-I",
        "-S",
        "-E",
        "-X",
        "no_debug_ranges",
        str(Path(__file__).parent / "dying_striker.py"),
    ]
    steward = subprocess.Popen([*program, str(REPO_ROOT), str(flag), "run", "--root", str(tmp_path)])
    try:
        wait_until("there is a trace", lambda: any(tmp_path.glob("traces/*/*.lmkt")) and Trace(tmp_path).headers)
        board.start_hog(0, 60, limit_mib=235)
        wait_until("the killer was ended at its strike", flag.exists)
        wait_until("its successor strikes", lambda: len(dead(board)) >= 3)
        victims = dead(board)
        board.stop_pressure()
        steward.terminate()
        assert steward.wait(30) == 0
    finally:
        steward.kill()
        steward.wait()
        forget_lasting(str(tmp_path))
    trace = read_trace(next(tmp_path.glob("traces/*")))
    (lost,) = [note for note in trace.notes if note.kind == "lost"]
    assert lost.number == 1
    (untold,) = victims - {pid for pid, _ in trace.victims}
    assert f"pid {untold} " in lost.text


def test_lasting_memory_is_found_by_its_root_and_by_no_other(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    ours.mkdir()
    others.mkdir()
    fd, path = make_lasting(str(ours), 8192)
    assert os.fstat(fd).st_size == 8192
    os.write(fd, b"kept")
    os.close(fd)
    assert find_lasting(str(others)) == []
    assert find_lasting(str(ours)) == ([path] if path else [])
    if path:
        fd = open_lasting(path)
        assert os.read(fd, 4) == b"kept"
        os.close(fd)
        os.chmod(path, 0o666)
        with pytest.raises(OSError, match="wanted a private one"):
            open_lasting(path)
        os.chmod(path, 0o600)
    forget_lasting(str(ours))
    assert find_lasting(str(ours)) == []


@needs_cgroup
def test_memory_whose_steward_died_while_making_it_is_removed(board: Sandbox, start: Start, tmp_path: Path) -> None:
    fd, path = make_lasting(str(tmp_path), 4096)  # a steward cut off before it had all pages
    os.close(fd)
    assert path, "this machine has no tmpfs to write to"
    try:
        start(board)
        assert not os.path.exists(path)
    finally:
        forget_lasting(str(tmp_path))
