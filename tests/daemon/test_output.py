"""Commands of `lmkd-py` whose output nobody takes: one line at most, a code that says so, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPO_ROOT

COMMANDS = (["--help"], ["run", "--help"], ["check"], ["selftest", "--help"])


def lmkd_py_into(out: int, words: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "lmkd_py.daemon", *words],
        cwd=REPO_ROOT, stdout=out, stderr=subprocess.PIPE, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_reader_that_has_left_ends_a_command_in_silence(words: list[str], tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = lmkd_py_into(theirs, [*words, "--root", str(tmp_path)])
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_under_the_output_is_told_in_one_line(words: list[str], tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = lmkd_py_into(full, [*words, "--root", str(tmp_path)])
    finally:
        os.close(full)
    assert (done.returncode, done.stderr) == (1, b"lmkd-py: output: No space left on device\n")
