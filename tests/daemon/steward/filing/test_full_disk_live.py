"""The daemon on a small disk of its own that fills up or is read-only: it guards, says so, and loses nothing unsaid."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from tests.daemon.driver import Daemon, wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "lmkd_filing", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def fill(place: Path) -> Path:
    """Until there is no page left."""
    filler = place / "filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space left"):
        _write_for_ever(fd)
    os.close(fd)
    return filler


def _write_for_ever(fd: int) -> None:
    while True:
        os.write(fd, bytes(4096))


def kill_some(board: Sandbox, daemon: Daemon, more: int) -> None:
    enough = daemon.status().kills + more
    board.start_thrashers(2)
    wait_until("it has killed", lambda: daemon.status().kills >= enough, 60)
    board.stop_pressure()


def assert_every_kill_is_there(root: Path, board: Sandbox, dead: int) -> None:
    trace = read_trace(next(root.glob("traces/*")))
    assert not trace.losses
    declared = sum(note.number for note in trace.notes if note.kind == "lost")
    assert sum(gap.count for gap in trace.gaps) <= declared
    assert dead <= len(trace.victims) + declared
    assert declared or dead == len(trace.victims)
    assert replay(trace).agrees


@pytest.mark.pressure
@pytest.mark.slow
def test_a_disk_that_fills_up_while_guarding_stops_no_kill_and_loses_none_unsaid(
    board: Sandbox, small_disk: Path
) -> None:
    board.write_root(str(small_disk), Config(PolicyConfig(), board.monitor_config()))
    apps = [board.start_app(f"c{number}", 999 - number, 4) for number in range(30)]
    daemon = Daemon(small_disk)
    try:
        filler = fill(small_disk)
        kill_some(board, daemon, 3)
        wait_until("it says so", lambda: daemon.status().filing == os.strerror(errno.ENOSPC))
        filler.unlink()
        wait_until("it files again", lambda: not daemon.status().filing)
        kill_some(board, daemon, 1)
        status = daemon.status()
        assert daemon.stop() == 0
        assert daemon.process.stderr is not None
        said = daemon.process.stderr.read()
    finally:
        daemon.end()
    assert said.count("no trace is filed: No space left on device; guarding goes on") == 1
    assert said.count("the trace is filed again") == 1
    dead = sum(not app.is_alive() for app in apps)
    assert status.kills + status.lost >= dead
    assert_every_kill_is_there(small_disk, board, dead)


@pytest.mark.pressure
@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_takes_nothing_at_the_start_keeps_nobody_from_guarding(
    board: Sandbox, small_disk: Path, how: str
) -> None:
    board.write_root(str(small_disk), Config(PolicyConfig(), board.monitor_config()))
    apps = [board.start_app(f"c{number}", 999 - number, 4) for number in range(30)]
    filler = small_disk / "nothing"
    if how == "full":
        filler = fill(small_disk)
    else:
        remount(small_disk, "ro")
    daemon = Daemon(small_disk, wait=False)
    try:
        assert daemon.process.stdout is not None
        lines = iter(daemon.process.stdout.readline, "")
        armed = next(line for line in lines if line.startswith("armed:"))
        board.start_thrashers(2)
        wait_until("it kills", lambda: not all(app.is_alive() for app in apps), 60)
        board.stop_pressure()
        if how == "full":
            filler.unlink()
        else:
            assert "not filed" in armed
            assert "Read-only file system" in armed
            remount(small_disk, "rw")
        wait_until("it can be asked", (small_disk / "ctl").exists)
        wait_until("it files", lambda: not daemon.status().filing and daemon.status().kills)
        kill_some(board, daemon, 1)
        assert daemon.stop() == 0
    finally:
        daemon.end()
    assert_every_kill_is_there(small_disk, board, sum(not app.is_alive() for app in apps))
