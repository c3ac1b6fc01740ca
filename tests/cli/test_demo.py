"""lmkctl demo for real: what it claims holds, and nothing stays behind, however it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.board.scenario import APPS, BYSTANDERS
from lmkd_py.cli.demo_check import in_order
from tests.support import REPO_ROOT, wait_until

DEMO = [sys.executable, "-c", "from lmkd_py.cli import main; main()", "demo", "--seconds", "30"]
NAMES = {name for name, _ in (*APPS, *BYSTANDERS)} | {"game-0", "thrash-0"}
CGROUPS = Path("/sys/fs/cgroup")


def remains(board: str, root: Path) -> list[str]:
    """Cgroups of this board, its applications and devices that file their traces there."""
    found = [str(path) for path in CGROUPS.glob(f"*/{board}*")] + [str(path) for path in CGROUPS.glob(f"{board}*")]
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            cgroup = (comm.parent / "cgroup").read_text()
            if board in cgroup or str(root) in (comm.parent / "cmdline").read_text():
                found.append(f"{comm.parent.name} {comm.read_text().strip()}")
        except OSError:
            continue
    return found


def board_of(output: str) -> str:
    match = re.search(r"/(lmkd_board_\d+_\d+)", output)
    assert match, output
    return match[1]


def wait_gone(board: str, root: Path) -> None:
    wait_until("nothing is left of the demo", lambda: not remains(board, root), seen=lambda: remains(board, root))


@pytest.mark.pressure
@pytest.mark.slow
def test_the_demo_kills_in_order_explains_and_replays(tmp_path: Path) -> None:
    done = subprocess.run([*DEMO, "-o", str(tmp_path)], cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "NO:" not in done.stdout
    assert re.search(r"^replay: \d+ recorded wakeups, \d+ kills, 0 differences$", done.stdout, re.MULTILINE)
    assert re.search(r"^survived: .*foreground-0$", done.stdout, re.MULTILINE)
    killed = re.findall(r"^ +[\d.]+ s  (\S+) +killed by ", done.stdout, re.MULTILINE)
    adjs = [int(name.rpartition("-")[2]) for name in killed]
    assert len(adjs) >= 5
    assert in_order(adjs)
    trace = Path(re.search(r"^trace: (.*)$", done.stdout, re.MULTILINE)[1])  # type: ignore[index]
    assert trace.is_relative_to(tmp_path)
    for verb in ("install", "config push", "start", "stop", "collect", "uninstall"):
        assert re.search(rf"^over adb: {verb}: ", done.stdout, re.MULTILINE), verb
    again = subprocess.run(
        [*DEMO[:3], "replay", str(trace)], cwd=REPO_ROOT, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0
    wait_gone(board_of(done.stdout), tmp_path)


@pytest.mark.pressure
@pytest.mark.slow
@pytest.mark.all_suite
def test_the_demo_draws_a_table_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = [*DEMO, "-o", str(tmp_path)]
    with subprocess.Popen(words, cwd=REPO_ROOT, stdin=theirs, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert demo.returncode == 0, seen[-3000:].decode(errors="replace")
    assert b"what became of it" in seen
    assert b"killed: " in seen
    assert b"0 differences" in seen


@pytest.mark.pressure
@pytest.mark.parametrize(
    ("number", "code", "stage"),
    [
        (signal.SIGINT, 130, "set-up"),
        pytest.param(signal.SIGINT, 130, "over adb: install", marks=pytest.mark.all_suite),
        (signal.SIGINT, 130, "pressure 1"),
        pytest.param(signal.SIGKILL, -9, "pressure 1", marks=pytest.mark.all_suite),
        pytest.param(signal.SIGTERM, -15, "pressure 1", marks=pytest.mark.all_suite),
    ],
)
def test_a_demo_that_is_interrupted_leaves_nothing_behind(tmp_path: Path, number: int, code: int, stage: str) -> None:
    words = [*DEMO, "-o", str(tmp_path)]
    with subprocess.Popen(words, cwd=REPO_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        said = ""
        for line in demo.stdout:
            said += line
            if line.startswith(stage):
                break
        board = board_of(said)
        assert remains(board, tmp_path)
        demo.send_signal(number)
        demo.wait(60)
    assert demo.returncode == code
    wait_gone(board, tmp_path)


@pytest.mark.root("drops root's rights")
def test_without_the_right_to_make_a_cgroup_one_line_says_what_is_missing() -> None:
    code = (
        # Once before, as root: what is imported late lies where nobody may read it. With -q an option is converted.
        "import os, sys; from lmkd_py.cli import demo_qemu, demo_sandbox; from lmkd_py.cli.app import run; "
        "run(['-q', 'demo', '--help'])\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(run(['demo']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("lmkctl: ")
    assert "run it as root" in line


def test_an_adj_that_rises_is_out_of_order() -> None:
    assert in_order([916, 900, 900, 0])
    assert not in_order([900, 916])
    assert in_order([])
