"""The daemon beside a board: armed, asked, watched, stopped; and gone with the board, orphans included."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.cleanup import members
from lmkd_py.board.daemon_process import DaemonProcess, ask_daemon
from lmkd_py.board.errors import SandboxError
from lmkd_py.board.ring_watch import RingWatch
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.wire.record import Record

pytestmark = pytest.mark.pressure
MakeBoard = Callable[..., Sandbox]


def test_it_is_armed_answers_and_stops_cleanly(make_board: MakeBoard, tmp_path: Path) -> None:
    board = make_board()
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
    with DaemonProcess(board, str(tmp_path)) as daemon:
        reply = daemon.ask()
        assert reply.ok
        assert reply.armed
        assert reply.steward_pid == daemon.pid
        assert set(members(board.place.daemon)) == {reply.steward_pid, reply.killer_pid}
        assert daemon.stop() == 0
    with pytest.raises(SandboxError, match="wanted a running one"):
        ask_daemon(str(tmp_path))


def test_a_daemon_that_cannot_start_is_told_in_its_own_words(make_board: MakeBoard, tmp_path: Path) -> None:
    board = make_board()
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config(domain_path="/sys/fs/cgroup/none/such")))
    with pytest.raises(SandboxError, match=r"ended with code 5: .*/none/such"):
        DaemonProcess(board, str(tmp_path))


def test_an_orphaned_killer_ends_with_the_board(make_board: MakeBoard, tmp_path: Path) -> None:
    board = make_board()
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
    with DaemonProcess(board, str(tmp_path)) as daemon:
        killer = os.pidfd_open(daemon.ask().killer_pid)
        daemon.kill()
        assert members(board.place.daemon), "the killer goes on without its steward"
        board.close()
        assert select.select([killer], [], [], 10)[0], "it lives"
        os.close(killer)


def test_the_ring_shows_the_records_that_the_trace_will_hold(make_board: MakeBoard, tmp_path: Path) -> None:
    board = make_board(64)
    apps = [board.start_app(f"cached-{900 + i}", 900 + i, 6) for i in range(4)]
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
    with DaemonProcess(board, str(tmp_path)) as daemon:
        ring = RingWatch(daemon.ask())
        seen: list[Record] = ring.take()  # a board that was just filled may have woken it already
        board.start_hog(0, 200, limit_mib=44)
        deadline = time.monotonic() + 30
        while not any(record.outcome.pid for record in seen) and time.monotonic() < deadline:
            seen += ring.take()
        board.stop_pressure()
        path = daemon.ask().trace_path
        assert daemon.stop() == 0
        seen += ring.take()  # the mapping outlives the killer
        ring.close()
    assert any(record.outcome.pid in {app.pid for app in apps} for record in seen)
    assert ring.lost == 0
    assert [traced.record for traced in read_trace(path).records] == seen
    assert board.oom_kills() == 0
