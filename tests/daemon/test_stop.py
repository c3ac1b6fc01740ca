"""`lmkd-py stop`: whatever is left of a daemon ends, what it changed is undone, and the next one can start at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.daemon import changes
from lmkd_py.daemon.inherited import EXIT_STOPPED
from lmkd_py.daemon.state_root import lock_root
from lmkd_py.daemon.steward.killers.killers_file import living
from lmkd_py.kernel.bpf import parent_of
from lmkd_py.kernel.protection.lasting import find_lasting
from lmkd_py.kernel.protection.memory_min import MemoryMinPlace
from lmkd_py.ondevice import daemon as ondevice
from tests.daemon.driver import Daemon, Trace, is_killer, wait_until, write_config
from tests.daemon.program import daemons_on, lmkd_py
from tests.support import REPO_ROOT, needs_cgroup

Start = Callable[..., Daemon]


def stop(root: Path) -> str:
    """Run `lmkd-py stop`, which has to succeed; its output."""
    done = lmkd_py("stop", "--root", str(root))
    assert (done.returncode, done.stderr) == (EXIT_STOPPED, "")
    return done.stdout


def assert_nothing_left(root: Path) -> None:
    assert daemons_on(root) == []
    assert living(str(root)) == []
    assert find_lasting(str(root)) == []
    assert not Path(parent_of(str(root))).exists()
    assert not (root / changes.FILE).exists()
    assert not (root / "ctl").exists()
    os.close(lock_root(str(root)))


@needs_cgroup
@pytest.mark.slow
@pytest.mark.parametrize("who", ["nobody", "steward", "killer", "both"])
def test_whoever_was_killed_nothing_of_the_daemon_is_left(
    board: Sandbox, start: Start, tmp_path: Path, who: str
) -> None:
    daemon = start(board)
    if who in ("steward", "both"):
        daemon.kill()
    if who in ("killer", "both"):
        os.kill(daemon.killer_pid, signal.SIGKILL)
    said = stop(tmp_path)
    assert said.startswith(
        {"both": f"nothing runs on {tmp_path}", "steward": f"killer {daemon.killer_pid}, left alone, ended"}.get(
            who, f"steward {daemon.pid} ended"
        )
    )
    assert daemon.process.wait(30) in (0, -signal.SIGKILL)
    wait_until("the killer is gone", lambda: not is_killer(daemon.killer_pid))
    assert_nothing_left(tmp_path)
    assert stop(tmp_path) == f"nothing runs on {tmp_path}\n"


@needs_cgroup
@pytest.mark.slow
def test_a_daemon_that_no_file_of_its_root_names_is_ended(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    (tmp_path / "lock").write_bytes(b"\n" * 64)  # as on a read-only disk: not signed, and no socket
    (tmp_path / "ctl").unlink()
    assert stop(tmp_path).startswith(f"steward {daemon.pid} ended")
    assert daemon.process.wait(30) == 0


def holds_lock(root: Path, pid: int) -> bool:
    """Whether that daemon has signed the lock: one that has not even got there is nobody to stop yet."""
    return (root / "lock").exists() and (root / "lock").read_text().split()[:1] == [str(pid)]


@needs_cgroup
@pytest.mark.slow
def test_a_start_right_behind_a_stop_works_ten_times_in_a_row(board: Sandbox, tmp_path: Path) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    for number in range(10):
        daemon = Daemon(tmp_path, wait=bool(number % 2))  # every other one is stopped while it starts
        try:
            if not number % 2:
                wait_until("it holds the lock", partial(holds_lock, tmp_path, daemon.pid))
            stop(tmp_path)
            assert daemon.process.wait(30) in (0, -signal.SIGTERM, -signal.SIGKILL, 6)
        finally:
            daemon.end()
    assert_nothing_left(tmp_path)


@needs_cgroup
@pytest.mark.slow
def test_lmkctl_on_the_device_stops_and_starts_as_often(board: Sandbox, tmp_path: Path) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    for _ in range(3):
        reply = ondevice.start(str(tmp_path), str(REPO_ROOT), False)
        os.kill(reply["steward_pid"], signal.SIGKILL)
        assert ondevice.stop(str(tmp_path)) == {"stopped": True}
        assert_nothing_left(tmp_path)
    assert ondevice.stop(str(tmp_path)) == {"stopped": False}


@pytest.mark.pressure
@pytest.mark.slow
def test_what_an_orphan_recorded_is_filed_by_the_stop(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = [board.start_app(f"c{number}", 999 - number, 4) for number in range(12)]
    daemon = start(board)
    daemon.kill()
    board.start_thrashers(2)
    wait_until("the orphan kills", lambda: sum(not app.is_alive() for app in apps) >= 2, 60)
    board.stop_pressure()
    stop(tmp_path)
    trace = Trace(tmp_path)
    assert {record.outcome.pid for record in trace.kills} == {app.pid for app in apps if not app.is_alive()}
    assert not trace.lost
    trace.assert_replays()


def test_where_nothing_is_there_is_nothing_to_stop(tmp_path: Path) -> None:
    assert stop(tmp_path / "nowhere") == f"nothing runs on {tmp_path}/nowhere: there is no such directory\n"
    assert not (tmp_path / "nowhere").exists()


# -- what was changed on the machine, on paper ------------------------------------------------------------------------


def test_changes_are_undone_to_what_was_before_the_first_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sysctl, group, top = tmp_path / "sysctl", tmp_path / "unit", tmp_path / "top"
    own = top / "lmkd_py"
    for directory in (group, own):
        directory.mkdir(parents=True)
    monkeypatch.setattr(changes, "COMPACT_UNEVICTABLE", str(sysctl))
    monkeypatch.setattr(changes, "remove_own", lambda: None)
    (group / "memory.min").write_text("0")
    (top / "cgroup.subtree_control").write_text("memory")
    root = str(tmp_path)
    for former in (4096, 10 << 20):  # the second daemon finds what the first, killed, has left
        changes.note(root, changes.COMPACTION)
        changes.note_settled(root, MemoryMinPlace(str(group), 0, former, "", ""))
        changes.note_settled(root, MemoryMinPlace(str(own), 0, 0, "/home", str(top)))
        sysctl.write_text("0")
        (group / "memory.min").write_text(str(10 << 20))
    changes.take_back(root)
    assert sysctl.read_text() == "1"
    assert (group / "memory.min").read_text() == "4096"
    assert (top / "cgroup.subtree_control").read_text() == "-memory"
    assert not own.exists()
    assert not (tmp_path / changes.FILE).exists()


@pytest.mark.parametrize(
    "text", ["", "\n\n", "memory.min\t/nowhere\tx\n", "cgroup\t/tmp\tmade\n", "controller\n", "\0"]
)
def test_what_is_noted_wrongly_undoes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(changes, "remove_own", lambda: None)
    (tmp_path / changes.FILE).write_text(text)
    changes.take_back(str(tmp_path))
    assert not (tmp_path / changes.FILE).exists()
    assert Path("/tmp").is_dir()
