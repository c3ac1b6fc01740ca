"""The payload on the Python that boards of today run: its own tests and recorded decisions, under Debian trixie's."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest

from lmkd_py.board.debs import PackageError
from tests.support import ORACLE_CASES, REPO_ROOT, require
from tools.trixie_python import packages_for_tests, trixie_python

pytestmark = pytest.mark.all_suite

SCENARIOS = 100  # of the recorded ones; all of them run on the developer's Python
# The checker of recorded decisions, which runs below, and BPF programs that strike in the kernel, the same on every
# Python: other files of `kernel` and `daemon` load and arm them here.
LEFT_OUT = ("core/test_oracle.py", "kernel/bpf/test_bpf_strike.py", "kernel/bpf/test_bpf_experiment.py")


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return trixie_python()
    except PackageError as error:
        require(False, f"trixie's Python could not be fetched: {error}")
        raise


@pytest.mark.parametrize("room", ["core", "wire", "kernel", "daemon"])
def test_the_rooms_that_go_to_a_board_pass_their_tests(python: Path, room: str) -> None:
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow and not all_suite"]
    command.append("--disable-warnings")  # or the end of the output, which is shown, is full of them
    assert all((REPO_ROOT / "tests" / name).is_file() for name in LEFT_OUT)
    command += [f"--ignore=tests/{name}" for name in LEFT_OUT]
    environment = {
        **os.environ,
        "PYTHONPATH": str(packages_for_tests(python)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "EXAMPLES": "few",  # of hypothesis: those of the developer's Python look for cases, these for a difference
    }
    done = subprocess.run(
        [*command, f"tests/{room}"], cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"\d+ passed", done.stdout)


@pytest.mark.parametrize("compat", ["aosp", "improved"])
def test_recorded_decisions_of_lmkd_are_met(python: Path, tmp_path: Path, compat: str) -> None:
    some = tmp_path / "cases.jsonl.gz"
    with gzip.open(ORACLE_CASES, "rb") as all_of_them, gzip.open(some, "wb") as file:
        file.writelines(itertools.islice(all_of_them, SCENARIOS))
    for cases in (some, ORACLE_CASES.parent / "sample.jsonl"):  # the sample reaches every rule
        command = [str(python), "tools/check_oracle.py", str(cases), "--compat", compat]
        done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
