"""An emulated board as a person has it who is not root and has an empty cache: from the first download to its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.board.qemu.test_qemu import BOOT_ID, emulators
from tests.support import IS_ROOT, REPO_ROOT, require, wait_until

pytestmark = pytest.mark.board
NOBODY = 65534


class Person:
    """`lmkctl` as somebody with a home directory and no rights."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # The checkout and this interpreter may lie where others may not look.
        shutil.copytree(REPO_ROOT / "lmkd_py", home / "code/lmkd_py")
        self.leave = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if IS_ROOT else []
        self.environment = {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{home}/code:{sysconfig.get_path('purelib')}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY if IS_ROOT else os.getuid(), -1)
        pythons = (path for path in (sys.executable, "/usr/bin/python3") if self._run("test", "-x", path))
        self.python = next((path for path in pythons if self._run(path, "-c", "import typer")), "")
        require(self.python, "a Python that everybody may run, of the version of .venv: apt-get install python3")

    def _run(self, *words: str) -> bool:
        done = subprocess.run([*self.leave, *words], env=self.environment, cwd=self.home, capture_output=True)
        return done.returncode == 0

    def lmkctl(self, *words: str) -> tuple[str, str]:
        """What it prints, and what it says beside."""
        start = [self.python, "-c", "from lmkd_py.cli import main; main()", *words]
        done = subprocess.run(
            [*self.leave, *start], env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip(), done.stderr


@pytest.fixture
def person() -> Iterator[Person]:
    # Not below pytest's own directory: every run of it takes that one away from everybody else.
    with tempfile.TemporaryDirectory(prefix="lmkd-home-") as home:
        one = Person(Path(home))
        yield one
        one.lmkctl("board", "down", "--all")


def test_an_ordinary_user_boots_saves_and_restores_a_board(person: Person) -> None:
    address, said = person.lmkctl("board", "up", "qemu", "--name", "desk")
    for line in ("fetching linux-image-", "starting the emulator: 256 MiB", "it answers after ", "desk is up"):
        assert f"lmkctl: {line}" in said
    assert "Debian" not in person.lmkctl("-s", address, "shell", "--", "uname", "-s")[0]
    boot_id, _ = person.lmkctl("-s", address, "shell", "--", f"echo kept >/tmp/note; {BOOT_ID}")
    _, said = person.lmkctl("board", "snapshot")
    assert "lmkctl board up qemu --snapshot desk" in said
    person.lmkctl("board", "down", "desk")
    assert not emulators(person.home)
    address, said = person.lmkctl("board", "up", "qemu", "--snapshot", "desk")
    assert "fetching" not in said
    assert ", where it was saved" in said
    assert person.lmkctl("-s", address, "shell", "--", f"cat /tmp/note; {BOOT_ID}")[0] == f"kept\n{boot_id}"
    (line,) = person.lmkctl("board", "list")[0].splitlines()
    log = line.rpartition("  log ")[2]
    assert Path(log).is_file()
    assert "qemu1 is down" in person.lmkctl("board", "down", "--all")[0]
    wait_until("the emulator has ended", lambda: not emulators(person.home))
    assert "board: kernel 6.1" in (Path(log).parent / "desk.console").read_text()
