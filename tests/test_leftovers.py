"""A run that leaves something behind is red and says what; one beside it is not blamed for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.kernel.sensing.mounts import cgroup_v2_root
from tests.suite.ledger import VARIABLE, Ledger, SeenProcess, processes
from tests.suite.leftovers import PINS
from tests.support import REPO_ROOT, require, wait_until

CLEAN = "def test_it():\n    pass\n"
PROCESS = """
    import os, subprocess, sys
    def test_it(request):
        lost = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"],
                                start_new_session=True, env={ENVIRONMENT})
        print("LOST", lost.pid)
        with open({NOTE!r}, "w") as file:
            file.write(str(lost.pid))
"""


def pytest_for(folder: Path) -> list[str]:
    """The command that runs test_one.py of a folder with the rules of this suite."""
    command = [sys.executable, "-m", "pytest", "-c", str(REPO_ROOT / "pyproject.toml"), "-p", "tests.conftest"]
    command += ["-o", "leftovers_patience_s=1", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    return [*command, f"--basetemp={folder}/tmp", str(folder / "test_one.py")]


def run(folder: Path, source: str, *words: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a run of this test alone, with the rules of this suite."""
    (folder / "test_one.py").write_text(textwrap.dedent(source))
    done = subprocess.run(
        [*pytest_for(folder), *words],
        cwd=REPO_ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def note(tmp_path: Path) -> Iterator[Path]:
    """Where a lost process is noted; it is ended here."""
    path = tmp_path / "lost"
    yield path
    if path.exists():
        os.kill(int(path.read_text()), signal.SIGKILL)


def test_a_run_that_leaves_nothing_is_green(tmp_path: Path) -> None:
    code, said = run(tmp_path, CLEAN)
    assert code == 0, said
    assert "left behind" not in said


@pytest.mark.parametrize(
    ("environment", "words"), [("None", ("-n1",)), ("dict()", ())], ids=["worker", "no-environment"]
)
def test_a_process_that_is_left_behind_makes_the_run_red(
    tmp_path: Path, note: Path, environment: str, words: tuple[str, ...]
) -> None:
    """Also one in a session of its own with an empty environment: its parent was one of the run."""
    source = PROCESS.format(ENVIRONMENT=environment, NOTE=str(note)) + "        import time; time.sleep(2.5)\n"
    code, said = run(tmp_path, source, *words)
    assert code == 1, said
    assert "1 passed" in said
    assert f"process {note.read_text()} (S (sleeping))" in said
    if environment == "None":
        assert "test_one.py::test_it" in said.partition("left behind")[2]


def test_a_failed_run_also_says_what_it_left(tmp_path: Path, note: Path) -> None:
    code, said = run(tmp_path, PROCESS.format(ENVIRONMENT="None", NOTE=str(note)) + "        assert False\n")
    assert code == 1
    assert f"process {note.read_text()}" in said.partition("left behind")[2]


@pytest.mark.all_suite
def test_a_run_that_is_ended_by_a_limit_of_time_takes_its_own_with_it(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import os, time\n"
        "def test_it():\n"
        f"    open({str(tmp_path / 'new')!r}, 'w').write(str(os.getpid()))\n"
        f"    os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'pid')!r})\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([*pytest_for(tmp_path), "-n1"], cwd=REPO_ROOT, stdout=subprocess.PIPE, text=True) as started:
        try:
            wait_until("the test runs", (tmp_path / "pid").exists, 300)
        finally:
            started.terminate()
        worker = int((tmp_path / "pid").read_text())
        said, _ = started.communicate(timeout=300)
    assert started.returncode == pytest.ExitCode.INTERRUPTED, said
    assert "minutes of each room" in said
    wait_until("the worker has ended", lambda: not Path(f"/proc/{worker}").exists())


@pytest.mark.root("makes cgroups, mounts and directories of a BPF file system")
def test_a_cgroup_a_mount_and_a_pin_that_are_left_behind_make_the_run_red(tmp_path: Path) -> None:
    top = cgroup_v2_root()
    require(top and PINS.is_dir(), "needs a v2 hierarchy and a BPF file system")
    paths = [Path(top, f"lmkd_board_{os.getpid()}_leak"), PINS / f"lmkd_py-leak/{os.getpid()}-0"]
    source = f"""
        import os
        from lmkd_py.kernel.acting.syscalls import mount
        def test_it(tmp_path):
            for path in {[str(path) for path in paths]}:
                path = path.replace("{os.getpid()}", str(os.getpid()))
                os.makedirs(path)
            mount("none", str(tmp_path), "tmpfs")
    """
    try:
        code, said = run(tmp_path, source)
        left = said.partition("left behind")[2]
        assert code == 1, said
        assert "cgroup " in left
        assert "_leak" in left
        assert "BPF pin " in left
        assert f"mount {tmp_path}/tmp/" in left
    finally:
        for pattern, place in (("lmkd_board_*_leak", Path(top)), ("lmkd_py-leak/*", PINS), ("lmkd_py-leak", PINS)):
            for path in place.glob(pattern):
                path.rmdir()
        for path in (tmp_path / "tmp").glob("test_it*"):
            subprocess.run(["umount", str(path)], check=False)


def test_a_pid_that_comes_again_belongs_to_somebody_else() -> None:
    """Seen on a busy machine: hundreds of processes of other runs, whose parents had pids of this one."""
    ledger = Ledger("mine")
    me = next(each for each in processes() if each.pid == os.getppid())
    ledger.note(SeenProcess(me.pid, 1, me.start - 1000, "S"))  # a process of the run that had the pid before
    assert not ledger.knows(me)
    assert me.pid not in {each.pid for each in ledger.look()}
    former_s, now_s = (me.start - 1000) / os.sysconf("SC_CLK_TCK"), ledger.lives[me.pid][-1][1]
    assert ledger.lived(me.pid, (former_s + now_s) / 2)
    assert not ledger.lived(me.pid, now_s + 60)
    assert not ledger.lived(me.pid, former_s - 60)


def test_what_a_run_beside_it_does_is_not_its_fault(tmp_path: Path) -> None:
    environment = {**os.environ, VARIABLE: "somebody-else"}
    other = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], env=environment)
    try:
        ledger = Ledger("mine")
        assert ledger.look() == []
        assert "somebody-else" in ledger.others
        code, said = run(tmp_path, CLEAN)
        assert code == 0, said
    finally:
        other.kill()
        other.wait()
