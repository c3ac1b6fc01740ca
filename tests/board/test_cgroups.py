"""Where a sandbox goes on other machines than this one: v2 delegated to a user, v1 read-only, none at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmkd_py.board import cgroups
from lmkd_py.board.errors import SandboxError
from lmkd_py.board.scratch import disk_directory, file_system_of
from lmkd_py.core.config import DomainKind


class Tree:
    """A cgroup v2 mount under tmp_path, as a login session sees it."""

    def __init__(self, tmp_path: Path, own: str) -> None:
        self.mount = tmp_path / "cgroup"
        self.mount.mkdir()
        self.mountinfo = tmp_path / "mountinfo"
        self.mountinfo.write_text(
            "29 24 0:27 / /tmp rw - tmpfs tmpfs rw\n"
            f"30 29 0:26 / {self.mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
        )
        self.own = tmp_path / "own"
        self.own.write_text(f"0::{own}\n")
        self._read_only: list[Path] = []

    def cgroup(self, path: str, controllers: str, writable: bool = True) -> Path:
        here = self.mount / path
        here.mkdir(parents=True, exist_ok=True)
        for name, text in (("cgroup.subtree_control", controllers), ("cgroup.procs", "")):
            (here / name).write_text(text)
        if not writable:
            self._read_only += [here, here / "cgroup.subtree_control", here / "cgroup.procs"]
        return here

    def find(self) -> cgroups.Place:
        for path in self._read_only:  # not before the tree is whole: what lies below could not be made
            path.chmod(path.stat().st_mode & ~0o222)
        return cgroups.find_place("board", str(self.mountinfo), str(self.own))


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """os.access by permission bits, as for an ordinary user: root may write anything."""

    def access(path: str, mode: int) -> bool:
        try:
            return bool(Path(path).stat().st_mode & (mode << 6))
        except OSError:
            return False

    monkeypatch.setattr("lmkd_py.board.cgroups.os.access", access)


def test_a_user_gets_the_nearest_ancestor_that_hands_out_a_memory_controller(tmp_path: Path, as_user: None) -> None:
    tree = Tree(tmp_path, "/user.slice/user@1000.service/app.slice/term.scope")
    tree.cgroup("", "cpu memory pids", writable=False)
    tree.cgroup("user.slice", "memory pids", writable=False)
    tree.cgroup("user.slice/user@1000.service", "memory pids")
    app = tree.cgroup("user.slice/user@1000.service/app.slice", "memory pids")
    tree.cgroup("user.slice/user@1000.service/app.slice/term.scope", "")
    place = tree.find()
    assert place.kind == DomainKind.CGROUP_V2
    assert place.memory == place.psi == str(app / "board")
    assert place.daemon == str(app / "board_daemon")
    assert place.places == (str(app / "board" / "cgroup.procs"),)


def test_a_user_whose_session_is_not_delegated_is_told_what_to_run(tmp_path: Path, as_user: None) -> None:
    tree = Tree(tmp_path, "/user.slice/session-3.scope")
    tree.cgroup("", "memory", writable=False)
    tree.cgroup("user.slice", "memory", writable=False)
    tree.cgroup("user.slice/session-3.scope", "", writable=False)
    with pytest.raises(SandboxError, match=r"systemd-run --user --scope -p Delegate=yes") as refused:
        tree.find()
    assert "\n" not in str(refused.value)


def test_root_takes_the_root_cgroup_of_a_v2_machine(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "/")
    tree.cgroup("", "memory")
    assert tree.find().memory == str(tree.mount / "board")


def test_a_v2_domain_gets_a_gap_below_its_limit_and_no_swap(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "/")
    tree.cgroup("", "memory")
    place = tree.find()
    domain = Path(place.memory)
    domain.mkdir()
    (domain / "memory.swap.max").touch()
    cgroups.limit(place, 100)
    assert (domain / "memory.max").read_text() == str(100 << 20)
    assert int((domain / "memory.high").read_text()) < 100 << 20
    assert (domain / "memory.swap.max").read_text() == "0"
    (domain / "memory.events").write_text("low 0\nhigh 7\nmax 3\noom 0\noom_kill 2\noom_group_kill 0\n")
    assert cgroups.oom_kills(place) == 2


def test_a_machine_without_cgroups_is_refused_in_one_line(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("31 24 0:27 / / rw - ext4 /dev/vda rw\n")
    with pytest.raises(SandboxError, match="no cgroup file system is mounted"):
        cgroups.find_place("board", str(mountinfo), "/proc/self/cgroup")


def test_a_v1_hierarchy_one_may_not_write_is_refused(tmp_path: Path, as_user: None) -> None:
    memory = tmp_path / "memory"
    memory.mkdir(mode=0o555)
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"31 24 0:27 / {memory} rw - cgroup cgroup rw,memory\n")
    with pytest.raises(SandboxError, match="run it as root"):
        cgroups.find_place("board", str(mountinfo), "/proc/self/cgroup")


def test_a_child_that_is_bound_elsewhere_is_not_where_a_sandbox_goes(tmp_path: Path) -> None:
    memory = tmp_path / "memory\tv1"
    memory.mkdir()
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "30 24 0:27 /apps /early rw - cgroup cgroup rw,memory\n"
        f"31 24 0:27 / {tmp_path}/memory\\011v1 rw - cgroup cgroup rw,memory\n"
    )
    assert cgroups.find_place("board", str(mountinfo), "/proc/self/cgroup").memory == str(memory / "board")


def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "1 0 8:1 / / rw - ext4 /dev/vda rw\n"
        "2 1 0:9 / /tmp rw - tmpfs tmpfs rw\n"
        "3 2 8:2 / /tmp/disk rw shared:7 - xfs /dev/vdb rw\n"
    )
    found = [file_system_of(path, str(mountinfo)) for path in ("/var/x", "/tmp", "/tmp/a", "/tmp/disk/a", "/tmpfile")]
    assert found == ["ext4", "tmpfs", "tmpfs", "xfs", "ext4"]


def test_thrashing_goes_to_a_disk_and_not_to_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/shm")
    assert file_system_of(disk_directory(1)) not in ("tmpfs", "ramfs")
    with pytest.raises(SandboxError, match="set TMPDIR"):
        disk_directory(1 << 40)
