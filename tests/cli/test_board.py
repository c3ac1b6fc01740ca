"""lmkctl board: virtual devices that come up, take pressure, and leave nothing, however the tool ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.boards import Boards, start_ticks
from lmkd_py.cli.demo_check import in_order
from tests.cli.conftest import Lmkctl
from tests.support import REPO_ROOT, needs_cgroup, wait_until

LMKCTL = [sys.executable, "-c", "import sys; from lmkd_py.cli.app import run; sys.exit(run(sys.argv[1:]))"]


@pytest.fixture(autouse=True)
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Boards]:
    """A directory of boards of the test's own; whatever is up in the end is taken down."""
    monkeypatch.setenv("LMKD_BOARDS", str(tmp_path / "boards"))
    monkeypatch.setenv("HOME", str(tmp_path))
    boards = Boards()
    yield boards
    boards.down_all()


def users_of(directory: str) -> dict[int, int]:
    """Processes whose command line names the directory, with their start times."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if directory.encode() in path.read_bytes():
                found[int(path.parent.name)] = start_ticks(int(path.parent.name))
        except OSError:
            continue
    found.pop(os.getpid(), None)
    return {pid: start for pid, start in found.items() if start}


@pytest.mark.all_suite
@pytest.mark.pressure
def test_a_daemon_put_onto_a_board_kills_in_order_under_its_pressure(lmkctl: Lmkctl, boards: Boards) -> None:
    said = lmkctl("board", "up", "sandbox", "--name", "desk")
    assert said.code == 0, said.err
    address = said.out.strip()
    assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
    assert said.err.splitlines()[-1].startswith("lmkctl: desk is up; its log: ")
    listed = lmkctl("board", "list")
    assert listed.out.split()[:3] == [address, "desk", "sandbox"]
    assert lmkctl("-s", address, "install").code == 0
    assert lmkctl("-s", address, "start").code == 0
    for _ in range(2):  # those who died the first time live again
        pressed = lmkctl("--json", "board", "pressure", "--kind", "hog", "--seconds", "6")
        died = json.loads(pressed.out)["died"]
        assert len(died) >= 5
        assert in_order([int(name.rpartition("-")[2]) for name in died])
        assert "foreground-0" not in died
    down = lmkctl("board", "down", "desk")
    assert (down.code, down.out) == (0, "desk is down\n")
    assert lmkctl("board", "list").out == ""
    assert not users_of(boards.directory)


@pytest.mark.pressure
def test_nobody_dies_of_pressure_without_a_daemon(lmkctl: Lmkctl) -> None:
    assert lmkctl("-q", "board", "up", "sandbox").code == 0
    said = lmkctl("board", "pressure", "--seconds", "1")
    assert said.code == 0
    assert said.out == "died: nobody; check that a daemon is running there: lmkctl status\n"


@needs_cgroup
def test_json_says_the_same_as_an_object(lmkctl: Lmkctl) -> None:
    up = json.loads(lmkctl("--json", "board", "up", "sandbox").out)
    assert (up["schema"], up["name"], up["kind"]) == (1, "sandbox1", "sandbox")
    assert json.loads(lmkctl("--json", "board", "list").out) == up
    assert json.loads(lmkctl("--json", "board", "down", "--all").out) == up


@needs_cgroup
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_tool_that_dies_while_a_board_comes_up_leaves_nothing(boards: Boards, number: int) -> None:
    words = [*LMKCTL, "board", "up", "sandbox", "--name", "half"]
    with subprocess.Popen(words, cwd=REPO_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tool:
        wait_until("the board comes up", lambda: os.path.exists(boards.path("half", ".log")))
        tool.send_signal(number)
        assert tool.wait(60) != 0
    wait_until("its processes are gone", lambda: not users_of(boards.directory))
    wait_until("no board runs", lambda: boards.running() == [])
    assert not os.path.exists(boards.path("half", ".root"))


@pytest.mark.all_suite
@pytest.mark.pressure
def test_a_board_outlives_the_tool_that_waited_for_its_pressure(lmkctl: Lmkctl, boards: Boards) -> None:
    assert lmkctl("-q", "board", "up", "sandbox").code == 0
    words = [*LMKCTL, "board", "pressure", "--seconds", "2"]
    with subprocess.Popen(words, cwd=REPO_ROOT, stderr=subprocess.PIPE) as tool:
        assert tool.stderr
        assert tool.stderr.readline().startswith(b"lmkctl: thrash on sandbox1")
        time.sleep(0.5)
        tool.kill()
    assert lmkctl("board", "pressure", "--seconds", "1").code == 0
    assert boards.names() == ("sandbox1",)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("up", "phone"), "'phone'"),
        (("up", "sandbox", "--port", "80"), "wanted 5600 to 65535"),
        (("up", "sandbox", "--name", "../x"), "board name '../x'; wanted at most 48 of letters"),
        (("down",), "no board is up"),
        (("down", "x", "--all"), "a name and --all exclude each other"),
        (("down", "x"), "no board 'x' is up; wanted one of: none is"),
        (("pressure",), "no sandbox is up"),
        (("pressure", "--seconds", "0"), "'--seconds'"),
    ],
)
@needs_cgroup
def test_what_cannot_be_is_said_in_one_line(lmkctl: Lmkctl, words: tuple[str, ...], line: str) -> None:
    said = lmkctl("board", *words)
    assert said.code in (1, 2)
    assert line in said.err.splitlines()[-1]
    assert said.out == ""
