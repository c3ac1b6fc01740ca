"""Where the daemon's log should lie there is something else: a start says so, and never waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import REPO_ROOT


def as_directory(path: Path) -> None:
    path.mkdir()


def as_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def as_open_to_all(path: Path) -> None:
    path.touch()
    path.chmod(0o666)


@pytest.mark.parametrize(
    ("make", "told"),
    [(os.mkfifo, "a FIFO"), (as_directory, "a directory"), (as_link, "a symbolic link"), (as_open_to_all, "others")],
)
def test_a_log_that_is_none_is_named_and_nobody_waits(tmp_path: Path, make: Callable[[Path], None], told: str) -> None:
    make(tmp_path / "log")
    words = [sys.executable, "-m", "lmkd_py.ondevice", "start", str(tmp_path), str(REPO_ROOT), "observe"]
    done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 9
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
