"""The kernel that is built beside the tests: at the lowest priority, waited for, and a failure shows its log."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.qemu import lab
from tests.suite import lab_build
from tests.suite.lab_build import NICE, LabBuild, log_of_this_run, wait_for_kernel
from tests.suite.ledger import VARIABLE
from tests.support import PATIENCE_S, wait_until


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabBuild]:
    """One of a run of its own, with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, f"{os.environ.get(VARIABLE, '')}/{tmp_path.name}")
    made = LabBuild()
    yield made
    made.stop()
    assert not log_of_this_run().exists()


def path_with(folder: Path, **programs: str) -> str:
    """A PATH with a few programs of the machine, and these scripts."""
    folder.mkdir()
    for name in ("nice", "sh", "mv", "sleep", "env"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def put_kernel() -> None:
    place = lab.place("6.1.1-1")
    place.mkdir(parents=True)
    (place / lab.IMAGE).write_bytes(b"kernel")


def test_a_kernel_that_is_there_is_not_built(build: LabBuild) -> None:
    put_kernel()
    build.start()
    assert not build.log.exists()
    assert wait_for_kernel() == ""


def test_a_build_that_fails_is_told_with_the_end_of_its_log(
    build: LabBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real tools.lab_kernel, on a machine without a compiler."""
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    build.start()
    why = wait_for_kernel().splitlines()
    assert why[0] == "tools.lab_kernel: exit 1; it said last:"
    assert why[-1].endswith("a kernel needs a compiler here; run: sudo apt-get install gcc libc6-dev make")


def test_the_build_runs_at_the_lowest_priority_and_ends_with_the_run(
    build: LabBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    build.start()
    wait_until("the build runs", (tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    assert os.getpriority(os.PRIO_PROCESS, pid) == NICE
    assert os.getsid(pid) != os.getsid(0)
    build.stop()
    wait_until("the build has ended", lambda: not Path(f"/proc/{pid}").exists())


def test_who_needs_the_kernel_waits_until_it_is_there(build: LabBuild) -> None:
    build.log.write_text("compiling")
    said: list[str] = []
    waiting = threading.Thread(target=lambda: said.append(wait_for_kernel()))
    waiting.start()
    put_kernel()
    waiting.join(PATIENCE_S)
    assert said == [""]


def test_a_session_of_its_own_does_not_undo_its_priority() -> None:
    """Where the scheduler groups by session, nice counts within one; the session has a nice value of its own."""
    path = Path("/proc/self/autogroup")
    if not path.exists():
        return
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ, setsid=True)
    try:
        lab_build.lower_session(pid)
        assert Path(f"/proc/{pid}/autogroup").read_text().endswith(f"nice {NICE}\n")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
