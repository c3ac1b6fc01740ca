"""The virtual device: the real payload, pushed over ADB, runs in it and guards the sandbox behind it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.board.boards import Board, Boards, start_ticks
from lmkd_py.board.cleanup import members
from lmkd_py.board.errors import SandboxError
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.board.virtual_device import VirtualDevice
from lmkd_py.core.config import Config
from lmkd_py.wire.config import encode_config
from tests.board.adbd_tools import connect
from tests.support import REPO_ROOT, needs_cgroup, wait_until

PAYLOAD = ("core", "kernel", "wire", "daemon")
HOME = "/data/adb/lmkd_py"


@pytest.fixture
def boards(tmp_path: Path, spaces: None) -> Iterator[Boards]:
    found = Boards(str(tmp_path / "boards"))
    yield found
    found.down_all()


def processes_with(text: str) -> list[int]:
    """Pids of processes whose command line contains this text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def lives(pids: list[int]) -> set[tuple[int, int]]:
    """Each process by pid and start time: a pid alone may soon be somebody else's."""
    return {(pid, start_ticks(pid)) for pid in pids}


def all_dead(known: set[tuple[int, int]]) -> bool:
    return not any(start_ticks(pid) == start for pid, start in known)


def payload() -> io.BytesIO:
    """The daemon's code as one tar archive."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("__init__.py", *PAYLOAD):
            tar.add(REPO_ROOT / "lmkd_py" / name, f"lmkd_py/{name}")
    archive.seek(0)
    return archive


@pytest.mark.pressure
def test_the_pushed_daemon_guards_the_boards_domain(
    make_board: Callable[..., Sandbox], spaces: None, tmp_path: Path
) -> None:
    board = make_board(96)
    with VirtualDevice(str(tmp_path / "device"), board, name="phone") as device:
        client = connect(device.address)
        client.shell(f"mkdir -m 700 {HOME}")  # sync would make it 0775, and the daemon refuses such a root
        client.push(payload(), f"{HOME}/payload.tar")
        assert client.shell(f"mkdir {HOME}/payload && tar -xf {HOME}/payload.tar -C {HOME}/payload") == ""
        config = tmp_path / "config.bin"
        config.write_bytes(encode_config(Config(monitor=board.monitor_config())))
        client.push(str(config), f"{HOME}/config.bin", st_mode=0o100600)
        cached = board.start_app("cached-900", 900, 20)
        visible = board.start_app("visible-100", 100, 20)
        device.register()
        assert client.shell("getprop ro.lmkd_py.domain_path") == board.place.memory + "\n"
        run = f"cd {HOME}/payload; exec python3 -m lmkd_py.daemon run --root {HOME} >{HOME}/log 2>&1 </dev/null"
        client.shell(f"setsid sh -c '{run}' >/dev/null 2>&1 </dev/null &")

        def log() -> str:
            return str(client.shell(f"cat {HOME}/log"))

        wait_until("it is armed", lambda: "armed:" in log(), seen=log)
        board.start_hog(0, 200, limit_mib=60)
        assert cached.wait_dead(30)
        assert visible.is_alive()
        assert board.oom_kills() == 0
        client.close()
    assert not members(board.place.daemon)


def test_a_board_in_the_background_is_listed_and_taken_down(boards: Boards) -> None:
    board = boards.up("plain", "one", options=("--auth", "always"))
    client = connect(board.address)
    assert client.shell("getprop ro.serialno; setsid sleep 600 >/dev/null 2>&1 </dev/null &") == "one\n"
    assert boards.running() == [board]
    with pytest.raises(SandboxError, match="one is up already, at 127"):
        boards.up("plain", "one")
    assert processes_with(board.root)
    boards.down("one")
    assert boards.running() == []
    assert not processes_with(board.root)
    assert not os.path.exists(board.root)
    with pytest.raises(SandboxError, match="no board 'one' is up"):
        boards.down("one")


@needs_cgroup
def test_a_sandbox_in_the_background_has_applications_and_leaves_nothing(boards: Boards) -> None:
    board = boards.up("sandbox")
    assert board.name == "sandbox1"
    client = connect(board.address)
    domain = client.shell("getprop ro.lmkd_py.domain_path").strip()
    rows = [line.split() for line in client.shell(f"cat {HOME}/procs").splitlines()]
    assert {row[0] for row in rows} == set(map(str, members(domain)))
    assert {int(row[2]) for row in rows} >= {0, 100, 200, 900}
    known = lives(members(domain))
    boards.down_all()
    assert not os.path.exists(domain)
    assert all_dead(known)


@needs_cgroup
def test_a_board_that_is_killed_leaves_nothing(boards: Boards) -> None:
    board = boards.up("sandbox", "crash")
    client = connect(board.address)
    domain = client.shell("getprop ro.lmkd_py.domain_path").strip()
    client.shell("setsid sleep 600 >/dev/null 2>&1 </dev/null &")
    known = lives(members(domain))
    os.kill(board.pid, signal.SIGKILL)
    wait_until("cgroup and processes are gone", lambda: not os.path.exists(domain) and not processes_with(board.root))
    wait_until("the applications are dead", lambda: all_dead(known))
    wait_until("no board runs", lambda: boards.running() == [])
    assert not os.path.exists(board.root)


def test_a_starter_that_dies_early_takes_its_board_with_it(boards: Boards) -> None:
    directory = boards.directory
    os.makedirs(directory)
    words = [sys.executable, "-m", "lmkd_py.board.background", directory, "plain", "orphan", "0"]
    with subprocess.Popen(words, cwd=REPO_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        assert boards.names() == ("orphan",)
        assert starter.stdin is not None
        starter.stdin.close()
        assert starter.wait(30) == 0
    assert boards.names() == ()
    assert not processes_with(f"{directory}/orphan")


def test_a_board_that_cannot_come_up_says_why_and_is_not_listed(boards: Boards) -> None:
    first = boards.up("plain", "first")
    with pytest.raises(SandboxError, match="Address already in use"):
        boards.up("plain", "second", int(first.address.rpartition(":")[2]))
    with pytest.raises(SandboxError, match="wanted 5600 to 65535"):
        boards.up("plain", "third", 5555)
    assert boards.names() == ("first",)


@pytest.mark.parametrize("name", ["../x", "", "a/b", "$(id)", "x" * 60, ".hidden", "a\nb"])
def test_names_that_are_more_than_names_are_refused(boards: Boards, name: str) -> None:
    with pytest.raises(SandboxError, match=r"board name|no board"):
        boards.down(name) if not name else boards.path(name, ".json")


def test_a_recycled_pid_is_not_taken_for_a_board(boards: Boards) -> None:
    os.makedirs(boards.directory)
    boards.write(Board("ghost", "plain", "127.0.0.1:5600", os.getpid(), start_ticks(os.getpid()) - 1, "", ""))
    assert boards.running() == []
