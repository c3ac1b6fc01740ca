"""The guardian: a board whose helpers are killed is cleared all the same."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.kernel.bpf import parent_of
from tests.daemon.driver import Daemon
from tests.support import needs_cgroup, require

pytestmark = needs_cgroup


def test_a_board_whose_guardian_was_killed_is_cleared_by_its_maker() -> None:
    with Sandbox(64) as board:
        app = board.start_app("cached-900", 900, 4)
        os.kill(board._warden.pid, signal.SIGKILL)
    assert not any(map(os.path.exists, board.place.directories))
    assert not os.path.exists(f"/proc/{app.pid}")


def test_what_a_daemon_pinned_goes_with_the_board_it_guarded(tmp_path: Path) -> None:
    with Sandbox(64) as board:
        board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
        daemon = Daemon(tmp_path)
        pins = Path(parent_of(str(tmp_path)))
        require(pins.is_dir(), "the strike in the kernel: BPF or its file system is refused here")
        daemon.end()
        assert pins.is_dir()
    assert not pins.exists()


def test_apps_die_with_the_server_they_were_forked_from() -> None:
    with Sandbox(64) as board:
        app = board.start_app("cached-900", 900, 4)
        signal.pidfd_send_signal(board._server.pidfd, signal.SIGKILL)
        assert app.wait_dead(30)


def test_an_adopted_process_is_ended_with_the_board() -> None:
    with Sandbox(64) as board, subprocess.Popen(["sleep", "600"]) as sleeper:
        pidfd = os.pidfd_open(sleeper.pid)
        board.adopt(pidfd)
        os.close(pidfd)
        board.close()
        assert sleeper.wait(30) == -signal.SIGKILL
