"""Emulated ARM boards for real: they boot, are saved and go on, restart, and nothing of them stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.boards import Boards
from lmkd_py.board.errors import SandboxError
from lmkd_py.board.ports import free_port
from lmkd_py.board.qemu.machine import QemuBoard
from lmkd_py.board.qemu.profile import QEMU
from lmkd_py.board.qemu.snapshot import BoardSnapshot
from tests.board.qemu_boards import ArmBoard, assert_protected, install
from tests.support import REPO_ROOT, wait_until

pytestmark = pytest.mark.board
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
LMKCTL = [sys.executable, "-c", "from lmkd_py.cli import main; main()"]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmBoard]:
    made = ArmBoard(tmp_path_factory.mktemp("shared"))
    yield made
    made.close()


def emulators(folder: Path) -> list[int]:
    """QEMU processes whose files lie in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if words.startswith(QEMU.encode()) and str(folder).encode() in words:
            found.append(int(path.parent.name))
    return found


def test_a_board_is_not_saved_while_somebody_is_connected(board: ArmBoard, tmp_path: Path) -> None:
    device = board.device()
    device.must(["true"], "connecting")
    with pytest.raises(SandboxError, match=r"found 1 ADB connections to .*; ?wanted none|adb disconnect"):
        board.machine.save(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    device.close()


def test_a_reboot_over_adb_keeps_the_disk_and_nothing_else(board: ArmBoard) -> None:
    board.shell("echo kept >/data/note; echo lost >/tmp/note")
    before = board.shell(BOOT_ID)
    starts = board.machine.console().count("\nlistening ")
    key = str(board.folder / "adbkey")  # the board lets in nobody else
    environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(free_port()), "ADB_VENDOR_KEYS": key}

    def adb(*words: str) -> str:
        done = subprocess.run(["adb", *words], env=environment, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    try:
        adb("connect", board.machine.address)
        adb("-s", board.machine.address, "wait-for-device")  # connected is not yet let in
        assert adb("-s", board.machine.address, "shell", "cat /data/note") == "kept\n"
        adb("-s", board.machine.address, "reboot")
        wait_until("the kernel restarts", lambda: "reboot: Restarting system" in board.machine.console())
        wait_until("it listens again", lambda: board.machine.console().count("\nlistening ") == starts + 1)
    finally:
        adb("kill-server")
    assert board.shell(BOOT_ID) != before
    assert board.shell("cat /data/note; ls /tmp") == "kept"


def test_a_board_is_saved_and_goes_on_with_its_memory_and_disk(board: ArmBoard, tmp_path: Path) -> None:
    board.shell("echo on disk >/data/note; echo in memory >/tmp/note")
    boot_id = board.shell(BOOT_ID)
    wait_until("no connection is open", lambda: _saved(board, tmp_path / "saved"))
    board.shell("rm /data/note /tmp/note; sync")  # it went on itself
    board.machine.close()
    board.machine = QemuBoard("board", tmp_path / "again", snapshot=BoardSnapshot(tmp_path / "saved"))
    assert board.shell("cat /data/note /tmp/note") == "on disk\nin memory"
    assert board.shell(BOOT_ID) == boot_id


def _saved(board: ArmBoard, place: Path) -> bool:
    try:
        board.machine.save(place)
    except SandboxError:  # a connection that has not quite ended
        return False
    return True


def test_a_phone_has_android_properties_and_directories(tmp_path: Path) -> None:
    phone = ArmBoard(tmp_path, "phone")
    try:
        assert phone.shell("getprop ro.product.cpu.abi; getprop sys.boot_completed") == "arm64-v8a\n1"
        assert phone.shell("[ -d /data/adb ] && [ -x /system/bin/sh ] && echo yes") == "yes"
    finally:
        phone.close()


def test_what_a_board_leaves_when_it_crashes_is_no_process(tmp_path: Path) -> None:
    boards = Boards(str(tmp_path / "boards"))
    board = boards.up("qemu", "crash", patience_s=300)
    assert emulators(tmp_path)
    os.kill(board.pid, signal.SIGKILL)
    wait_until("the emulator has ended", lambda: not emulators(tmp_path))
    assert boards.running() == []
    assert sorted(path.name for path in (tmp_path / "boards").iterdir()) == ["crash.console", "crash.log", "lock"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("verb", ["board up qemu", "demo --board qemu"])
def test_a_board_that_is_given_up_while_it_boots_is_gone(tmp_path: Path, verb: str, number: signal.Signals) -> None:
    environment = {**os.environ, "LMKD_BOARDS": str(tmp_path / "boards"), "TMPDIR": str(tmp_path)}
    words = [*LMKCTL, *verb.split()]
    caller = subprocess.Popen(words, cwd=REPO_ROOT, env=environment, stdout=subprocess.PIPE, start_new_session=True)
    boards = Boards(str(tmp_path / "boards"))
    try:
        with caller:
            wait_until("the emulator runs", lambda: emulators(tmp_path))
            caller.send_signal(number)
            assert caller.wait(120) in (130, -number)
        wait_until("the emulator has ended", lambda: not emulators(tmp_path))
        assert boards.running() == []
    finally:
        for board in boards.running():
            boards.down(board.name)
        caller.kill()


def test_down_ends_the_emulator_and_keeps_its_console(tmp_path: Path) -> None:
    boards = Boards(str(tmp_path / "boards"))
    board = boards.up("qemu", patience_s=300)
    assert boards.down(board.name).name == "qemu1"
    assert not emulators(tmp_path)
    assert "board: kernel " in Path(board.log).read_text()


def test_a_board_with_systemd_has_memory_cgroups_of_version_2_and_runs_our_unit(tmp_path: Path) -> None:
    board = ArmBoard(tmp_path, "systemd")
    try:
        assert "memory" in board.shell("cat /sys/fs/cgroup/cgroup.controllers").split()
        device = board.device()
        service = install(device).service
        assert board.shell("systemctl is-enabled lmkd_py") == "enabled"
        status = service.start(observe=False)
        assert status["armed"] == 1
        assert board.shell("systemctl is-active lmkd_py") == "active"
        assert_protected(board, status, "lmkd_py.service")
        service.stop()
        _run_without_a_unit(board, service.layout.current)
        assert board.shell("systemctl --failed --no-legend") == ""
    finally:
        board.close()


def _run_without_a_unit(board: ArmBoard, release: str) -> None:
    """As somebody does in a shell whose cgroup has other processes and no memory.min above it that counts."""
    daemon = f"PYTHONPATH={release} python3 -m lmkd_py.daemon"
    board.shell(f"{daemon} run --root /tmp/own --observe >/tmp/own.log 2>&1 </dev/null &")
    wait_until("it is armed", lambda: "armed:" in board.shell("cat /tmp/own.log"))
    said = board.shell(f"{daemon} status --root /tmp/own").splitlines()
    status = {name: int(value) for name, _, value in (line.partition(": ") for line in said) if name.endswith("_pid")}
    assert_protected(board, status, "lmkd_py")
    board.shell(f"kill {status['steward_pid']}")
    wait_until("its cgroup is gone", lambda: board.shell("ls -d /sys/fs/cgroup/lmkd_py* 2>/dev/null || true") == "")


def test_only_root_may_write_to_the_root_directory_of_a_board(board: ArmBoard) -> None:
    """lmkctl runs no Python as root that others can change, and looks at every directory above it."""
    assert board.shell("stat -c '%u %a' / /usr /usr/bin | sort -u") == "0 755"
