"""Which interpreter of a device becomes root's: one that nobody but root can change, or the one that was named."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.host.device import Device
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.install import INSTALL, Installation
from lmkd_py.host.payload import payload
from lmkd_py.host.python import find_python
from lmkd_py.host.service import Service
from lmkd_py.host.steps import run_steps
from tests.host.conftest import Rack
from tests.host.test_steps import OLD_CONFIG, ROOT, push

pytestmark = pytest.mark.root("makes files of other users")
APP, SYSTEM = 10_123, 1000
# It tells that it ran.
PROGRAM = '#!/bin/sh\ntouch /ran\nexec /usr/bin/env python3 "$@"\n'


class Tree:
    """The device's files, seen from here."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def folder(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        self(path).mkdir(parents=True, exist_ok=True)
        self(path).chmod(mode)
        os.chown(self(path), owner, owner)

    def program(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        self(path).write_text(PROGRAM)
        self(path).chmod(mode)
        os.chown(self(path), owner, owner)

    def link(self, path: str, target: str, owner: int = 0) -> None:
        self(path).symlink_to(target)
        os.chown(self(path), owner, owner, follow_symlinks=False)


def _shell(tree: Tree) -> str:
    tree.program("/data/local/tmp/python3")
    return "/data/local/tmp/python3"


def _termux(tree: Tree) -> str:
    tree.folder("/data/data/com.termux", 0o700, APP)
    tree.program("/data/data/com.termux/python3", 0o700, APP)
    return "/data/data/com.termux/python3"


def _app_owned(tree: Tree) -> str:
    tree.folder("/opt/a")
    tree.program("/opt/a/python3", 0o755, APP)
    return "/opt/a/python3"


def _world(tree: Tree) -> str:
    tree.folder("/opt/b")
    tree.program("/opt/b/python3", 0o757)
    return "/opt/b/python3"


def _group(tree: Tree) -> str:
    tree.folder("/opt/c", 0o2775)
    tree.program("/opt/c/python3")
    return "/opt/c/python3"


def _sticky(tree: Tree) -> str:
    tree.folder("/opt/d", 0o1777)
    tree.folder("/opt/d/deep/er")
    tree.program("/opt/d/deep/er/python3")
    return "/opt/d/deep/er/python3"


def _link_to(tree: Tree) -> str:
    tree.folder("/opt/e")
    tree.link("/opt/e/python3", "../../data/local/tmp/python3")
    _shell(tree)
    return "/opt/e/python3"


def _link_through(tree: Tree) -> str:
    # Both ends are root's; the link between can be turned by others.
    tree.folder("/opt/f")
    tree.folder("/opt/g")
    tree.program("/opt/g/python3")
    tree.folder("/srv/them", 0o755, APP)
    tree.link("/srv/them/way", "/opt/g", APP)
    tree.link("/opt/f/way", "/srv/them/way")
    return "/opt/f/way/python3"


@pytest.fixture
def endpoint(rack: Rack) -> Endpoint:
    return rack.add()


@pytest.fixture
def device(rack: Rack, endpoint: Endpoint) -> Device:
    found = rack.device(endpoint)
    found.ask(["true"])  # its tree is there
    return found


@pytest.mark.parametrize("make", [_shell, _termux, _app_owned, _world, _group, _sticky, _link_to, _link_through])
def test_an_interpreter_that_others_can_change_is_not_run_unless_it_is_named(
    endpoint: Endpoint, device: Device, monkeypatch: pytest.MonkeyPatch, make: object
) -> None:
    tree = Tree(Path(endpoint.device.root))
    path = make(tree)  # type: ignore[operator]
    monkeypatch.setattr("lmkd_py.host.python.PLACES", (path,))
    with pytest.raises(DeviceError) as refused:
        find_python(device)
    assert refused.value.fault == Fault.INCOMPATIBLE
    assert path in str(refused.value)
    assert "--python PATH" in str(refused.value)
    assert not tree("/ran").exists()
    assert find_python(device, path) == path
    assert tree("/ran").exists()


def test_one_that_is_roots_alone_is_run(endpoint: Endpoint, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(Path(endpoint.device.root))
    tree.folder("/opt/safe/bin")
    tree.program("/opt/safe/bin/python3")
    tree.folder("/opt/links")
    tree.link("/opt/links/one", "two")
    tree.link("/opt/links/two", "../safe/bin")
    # As on a phone: /data is the system user's, /data/adb is root's.
    os.chown(tree("/data"), SYSTEM, SYSTEM)
    tree.folder(f"{ROOT}/runtime/bin")
    tree.program(f"{ROOT}/runtime/bin/python3")
    for path in ("/opt/safe/bin/python3", "/opt/links/one/python3", f"{ROOT}/runtime/bin/python3", "python3"):
        monkeypatch.setattr("lmkd_py.host.python.PLACES", ("/data/local/tmp/python3", _shell(tree), path))
        assert find_python(device) == (path if path.startswith("/") else "/system/bin/python3")


def test_an_installation_without_its_interpreter_runs_none(rack: Rack, endpoint: Endpoint, device: Device) -> None:
    run_steps(INSTALL, Installation(device, payload()))
    rack.path(endpoint, f"{ROOT}/interpreter").unlink()
    with pytest.raises(DeviceError, match="not installed"):
        Service(device, ROOT).status()


@pytest.mark.parametrize("kind", ["adbd", "magisk"])
def test_what_lmkctl_and_the_daemon_make_is_roots_alone_under_a_umask_of_0(rack: Rack, kind: str) -> None:
    endpoint = rack.add(root_kind=kind)
    device = rack.device(endpoint)
    assert device.ask("umask").text.strip("0") == ""  # a real adbd's
    tree = Tree(Path(endpoint.device.root))
    before = set(tree.root.rglob("*"))
    run_steps(INSTALL, Installation(device, payload()))
    push(device, OLD_CONFIG)
    service = Service(device, ROOT)
    service.start(observe=True)
    service.restart(observe=True)
    try:
        found = {path: path.lstat() for path in tree.root.rglob("*") if path not in before}
        kinds = {stat.S_IFMT(one.st_mode) for one in found.values()}
        assert kinds == {stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFSOCK}
        for path, one in found.items():
            if not stat.S_ISLNK(one.st_mode):
                assert not one.st_mode & 0o022, f"{path} {one.st_mode:o}"
        assert tree(ROOT).stat().st_mode & 0o777 == 0o700
        for name in ("ctl", "config.bin", "log", "lmkctl.lock"):
            assert tree(f"{ROOT}/{name}").lstat().st_mode & 0o777 == 0o600, name
        left = [path for path in found if tree(ROOT) not in (path, *path.parents)]
        assert left == []  # nothing of ours lies anywhere else
    finally:
        service.stop()


def test_files_that_sync_pushes_have_the_mode_that_was_asked_for(rack: Rack, endpoint: Endpoint) -> None:
    import io

    from lmkd_py.host.adb.sync import Sending

    device = rack.device(endpoint)
    device.send_files(lambda: [Sending("/data/local/tmp/new/one", 0o100640, io.BytesIO(b"x").read)])
    assert rack.path(endpoint, "/data/local/tmp/new/one").stat().st_mode & 0o777 == 0o640
    assert rack.path(endpoint, "/data/local/tmp/new").stat().st_mode & 0o777 == 0o775
