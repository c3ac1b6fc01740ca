"""A daemon of this machine, asked over its control socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.errors import SandboxError
from lmkd_py.board.local_daemon import ask_daemon
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from tests.daemon.driver import Daemon
from tests.support import needs_cgroup


@needs_cgroup
def test_a_running_daemon_answers_and_a_stopped_one_is_told(make_board: Callable[..., Sandbox], tmp_path: Path) -> None:
    board = make_board()
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
    daemon = Daemon(tmp_path)
    try:
        reply = ask_daemon(str(tmp_path))
        assert reply.ok
        assert reply.armed
        assert (reply.steward_pid, reply.killer_pid) == (daemon.pid, daemon.killer_pid)
        assert daemon.stop() == 0
    finally:
        daemon.end()
    with pytest.raises(SandboxError, match="wanted a running one"):
        ask_daemon(str(tmp_path))
