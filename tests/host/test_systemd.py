"""Installing on a board that runs systemd: a real one, with real units, in namespaces of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.host.adb.keys import public_keys
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.connect import Connector
from lmkd_py.host.device import Device
from lmkd_py.host.errors import DeviceError
from lmkd_py.host.install import uninstall
from lmkd_py.host.service import Service
from lmkd_py.host.targets import Target
from lmkd_py.host.tree import Tree
from lmkd_py.kernel.sensing.mounts import cgroup_v2_root
from lmkd_py.ondevice.systemd import PLACE, UNIT
from tests.host.systemd_board import SystemdBoard
from tests.host.test_steps import NEWER, OLD_CONFIG, PAYLOAD, install, push
from tests.support import require, wait_until

pytestmark = pytest.mark.root("boots a systemd of its own")
ROOT = "/var/lib/lmkd_py"


@pytest.fixture
def board(tmp_path: Path, adb_key: Path) -> Iterator[SystemdBoard]:
    cgroups = cgroup_v2_root()
    require(cgroups, "no v2 cgroup hierarchy is mounted, wanted one for a systemd of our own")
    made = SystemdBoard(tmp_path / "board", Path(cgroups), public_keys(adb_key))
    yield made
    made.close()


@pytest.fixture
def device(board: SystemdBoard, adb_key: Path) -> Iterator[Device]:
    found = Connector(ServerAddress("127.0.0.1", 1), adb_key, timeout_s=300.0).device(Target(board.address, False))
    yield found
    found.close()


def state(board: SystemdBoard, what: str) -> str:
    return board.run("systemctl", what, UNIT).stdout.strip()


def steward(board: SystemdBoard) -> int:
    """Its pid inside the board; 0 while there is none."""
    return int(board.run("systemctl", "show", "-p", "MainPID", "--value", UNIT).stdout)


@pytest.mark.all_suite
def test_the_daemon_is_a_unit_that_comes_back_and_goes_with_uninstall(board: SystemdBoard, device: Device) -> None:
    done = install(device)
    assert done.root == ROOT
    assert done.notes == []
    assert state(board, "is-enabled") == "enabled"
    push(device, OLD_CONFIG)
    service = Service(device, ROOT)
    service.start(observe=False)  # its config says observe
    assert state(board, "is-active") == "active"
    before = service.status()
    assert before["armed"] == 1
    assert before["steward_pid"] == steward(board)

    board.run("kill", f"-{int(signal.SIGKILL)}", str(before["steward_pid"]))
    wait_until("another steward runs", lambda: steward(board) not in (0, before["steward_pid"]))
    wait_until("it is armed", lambda: service.status().get("armed"))
    after = service.status()
    assert after["steward_pid"] == steward(board)
    assert after["killer_pid"] != before["killer_pid"]

    install(device, NEWER)
    assert state(board, "is-active") == "active"
    newer = service.status()
    assert newer["armed"] == 1
    assert newer["steward_pid"] == steward(board) != after["steward_pid"]

    service.stop()
    assert state(board, "is-active") == "inactive"
    assert uninstall(device, "", purge=True)
    assert board.run("test", "-e", PLACE).returncode == 1
    assert state(board, "is-enabled") != "enabled"
    assert board.run("test", "-e", ROOT).returncode == 1


@pytest.mark.all_suite
@pytest.mark.parametrize("code", [b"raise RuntimeError('broken release')\n", b"raise SystemExit(2)\n"])
def test_a_release_that_does_not_arm_itself_is_taken_back(board: SystemdBoard, device: Device, code: bytes) -> None:
    """The unit starts what `current` leads to. Of 1 systemd tries again and again, of 2 it does not."""
    install(device)
    push(device, OLD_CONFIG)
    service = Service(device, ROOT)
    service.start(observe=False)
    before = service.status()
    broken = Tree({**PAYLOAD.files, "lmkd_py/daemon/start.py": code})
    with pytest.raises(DeviceError, match="former one is back"):
        install(device, broken)
    after = service.status()
    assert after["armed"] == 1
    assert after["steward_pid"] == steward(board) != before["steward_pid"]
    assert device.must(f"readlink {ROOT}/current", "looking").text.strip() == f"releases/{PAYLOAD.digest[:16]}"
    assert state(board, "is-active") == "active"
    service.stop()


def test_systemd_finds_nothing_wrong_with_the_unit(board: SystemdBoard, device: Device) -> None:
    install(device)
    checked = board.run("systemd-analyze", "verify", UNIT)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_starts_with_the_board(board: SystemdBoard, device: Device) -> None:
    install(device)
    push(device, OLD_CONFIG)
    board.run("systemctl", "daemon-reload")
    board.run("systemctl", "start", "multi-user.target")  # what a boot reaches; the unit is wanted by it
    board.run("systemctl", "isolate", "multi-user.target")
    wait_until("it is armed", lambda: Service(device, ROOT).status().get("armed"))
    assert state(board, "is-active") == "active"
    named = board.run("ls", "/dev/shm").stdout.split()
    assert any(name.startswith("lmkd_py-") for name in named)
    assert not set(named) & set(os.listdir("/dev/shm")), "it would stay here when the board is ended"
