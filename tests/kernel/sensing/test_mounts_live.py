"""The cgroup hierarchies in a mount namespace where other mounts come first or lie over them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.kernel.sensing.mounts import memcg_v1_root
from tests.kernel.cgroups import Pen
from tests.support import REPO_ROOT, require

pytestmark = pytest.mark.root("makes mounts in a namespace of its own")
ASK = """from lmkd_py.kernel.sensing.mounts import memcg_v1_root, file_system_of
print(memcg_v1_root(), file_system_of('{}'))"""


def seen_after(script: str, *words: str, asked: str = "/") -> str:
    """What the reader says in a mount namespace after the shell has run `script`."""
    program = f'mount --make-rprivate /; {script}\nexec "$PYTHON" -c "$ASK"'
    environment = {"PYTHON": sys.executable, "ASK": ASK.format(asked), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["unshare", "-m", "sh", "-ec", program, "sh", *words]
    done = subprocess.run(command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_child_that_is_bound_first_is_not_the_hierarchy(tmp_path: Path) -> None:
    early = tmp_path / "a b\\040"
    early.mkdir()
    root = memcg_v1_root()
    require(root, "needs the v1 memory controller")
    with Pen("mounts") as pen:
        again = 'mount --bind "$1" "$2"; umount "$3"; mount -t cgroup -o memory none "$3"'
        assert seen_after(again, str(pen.directory), str(early), root).split()[0] == root
        alone = 'mount --bind "$1" "$2"; umount "$3"'
        assert seen_after(alone, str(pen.directory), str(early), root).rpartition(" ")[0] == str(early)


def test_what_lies_under_a_later_mount_is_not_seen(tmp_path: Path) -> None:
    root = memcg_v1_root()
    require(root, "needs the v1 memory controller")
    other = tmp_path / "other"
    other.mkdir()
    assert seen_after('mount -t tmpfs none "$1"', root, asked=root) == "tmpfs"
    parent = str(Path(root).parent)
    moved = 'mount -t cgroup -o memory none "$1"; mount -t tmpfs none "$2"'
    assert seen_after(moved, str(other), parent, asked=parent) == f"{other} tmpfs"
