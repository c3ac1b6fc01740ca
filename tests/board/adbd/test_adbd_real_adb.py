"""Debian's adb against the endpoint: whatever it can do with a phone, it can do here."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.adbd.device import LEGACY, AdbdDevice
from lmkd_py.board.ports import free_port
from tests.board.adbd_tools import Adb
from tests.support import IS_ROOT, wait_until

MakeDevice = Callable[..., tuple[AdbdDevice, str]]
TMP = "/data/local/tmp"
NAMES = ("a b", "it's", 'say "x"', "ünï-文", "$(touch climbed)", "semi;colon", "back\\slash", "new\nline", "-rf")


@pytest.fixture
def device(adb: Adb, make_device: MakeDevice) -> AdbdDevice:
    device, address = make_device()
    adb.connect(address)
    assert adb("shell", "true").returncode == 0
    return device


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
        ("no_such_command", 127),
    ],
)
def test_the_exit_code_is_the_commands(adb: Adb, device: AdbdDevice, command: str, code: int) -> None:
    assert adb("shell", command).returncode == code


def test_the_streams_are_split_and_stdin_goes_through(adb: Adb, device: AdbdDevice) -> None:
    done = adb("shell", "-T", "cat; echo err >&2; echo out", stdin=b"in\0put\r\n")
    assert (done.stdout, done.stderr) == (b"in\0put\r\nout\n", b"err\n")


def test_bytes_pass_unchanged(adb: Adb, device: AdbdDevice) -> None:
    data = os.urandom(3_000_000)
    assert adb("shell", "-T", "cat", stdin=data).stdout == data
    (Path(device.root) / "data/local/tmp/blob").write_bytes(data)
    assert adb("exec-out", f"cat {TMP}/blob").stdout == data
    assert adb("exec-in", f"cat >{TMP}/back", stdin=data[:100_000]).returncode == 0
    back = Path(device.root) / "data/local/tmp/back"
    wait_until("the file is pulled", lambda: back.exists() and back.read_bytes() == data[:100_000])


def test_a_terminal_is_one(adb: Adb, device: AdbdDevice) -> None:
    done = adb("shell", "-tt", "tty; stty size; exit 5")
    assert done.stdout.startswith(b"/dev/pts/")
    assert done.returncode == 5


def test_a_large_file_survives_the_way_there_and_back(adb: Adb, device: AdbdDevice, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(20 << 20))
    os.utime(big, (1_500_000_000, 1_500_000_000))
    assert adb("push", str(big), TMP).returncode == 0
    assert adb("pull", "-a", f"{TMP}/big", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    assert int((tmp_path / "back").stat().st_mtime) == 1_500_000_000


def test_trees_and_odd_names_survive(adb: Adb, device: AdbdDevice, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for place, name in enumerate(NAMES):
        folder = tree / f"d{place}"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(name.encode() * place)
        (folder / "run").write_text("#!/bin/sh\n")
        (folder / "run").chmod(0o755)
    (tree / "empty").write_bytes(b"")
    assert adb("push", str(tree), f"{TMP}/tree").returncode == 0
    assert adb("pull", f"{TMP}/tree", str(tmp_path / "back")).returncode == 0
    assert subprocess.run(["diff", "-r", tree, tmp_path / "back"]).returncode == 0
    assert adb("shell", f"{TMP}/tree/d0/run").returncode == 0
    assert not list(Path(device.root).rglob("climbed"))


def test_a_bad_push_says_why_and_fails(adb: Adb, device: AdbdDevice, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    done = adb("push", str(tmp_path / "file"), "/proc/nowhere/file")
    assert done.returncode == 1
    assert b"couldn't create file: No such file or directory" in done.stderr + done.stdout
    assert adb("push", str(tmp_path / "file"), f"{TMP}/file").returncode == 0


def test_pulling_what_is_not_there_says_so(adb: Adb, device: AdbdDevice, tmp_path: Path) -> None:
    done = adb("pull", f"{TMP}/nothing", str(tmp_path / "x"))
    assert done.returncode == 1
    assert b"No such file or directory" in done.stderr + done.stdout


@pytest.mark.parametrize("kind", ["tcp", "localabstract", "localfilesystem"])
def test_forwards_reach_sockets_of_the_device(adb: Adb, device: AdbdDevice, kind: str) -> None:
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    path = os.path.join(device.root, "data/local/tmp/sock")
    unix = path if kind == "localfilesystem" else f"\0lmkd_j_test_{os.getpid()}"
    with socket.socket(family) as server:
        if kind == "localfilesystem":  # the path is too long for an address
            folder = os.open(os.path.dirname(path), os.O_PATH)
            server.bind(f"/proc/self/fd/{folder}/sock")
            os.close(folder)
        else:
            server.bind(("127.0.0.1", 0) if kind == "tcp" else unix)
        server.listen(4)

        def echo() -> None:
            plug, _ = server.accept()
            with plug:
                while data := plug.recv(65536):
                    plug.sendall(data.upper())

        thread = threading.Thread(target=echo, daemon=True)
        thread.start()
        names = {
            "tcp": f"tcp:{server.getsockname()[1]}",
            "localabstract": f"localabstract:{unix[1:]}",
            "localfilesystem": f"localfilesystem:{TMP}/sock",
        }
        local = free_port()
        assert adb("forward", f"tcp:{local}", names[kind]).returncode == 0
        with socket.create_connection(("127.0.0.1", local), 20) as client:
            client.sendall(b"x" * 200_000)
            got = b""
            while len(got) < 200_000:
                got += client.recv(65536)
        assert got == b"X" * 200_000
        thread.join(20)
        assert not thread.is_alive()


def test_a_reboot_ends_everything_and_brings_another_boot_id(adb: Adb, device: AdbdDevice) -> None:
    ask = ("shell", "cat /proc/sys/kernel/random/boot_id")
    first = adb(*ask).stdout
    assert adb("shell", "setsid sh -c 'while :; do date +%N >/data/local/tmp/alive; sleep 0.02; done' >&- 2>&- <&- &")
    alive = Path(device.root) / "data/local/tmp/alive"
    wait_until("the process writes", alive.exists)
    adb("reboot")
    wait_until("the boot id is another", lambda: adb.state() == "device" and adb(*ask).stdout not in (b"", first))
    alive.unlink(missing_ok=True)
    time.sleep(0.5)  # 25 times as long as the process took to write again
    assert not alive.exists()


def test_root_and_unroot_change_who_one_is(adb: Adb, make_device: MakeDevice) -> None:
    _, address = make_device("userdebug", root_kind="userdebug")
    adb.connect(address)
    assert adb("shell", "id -u").stdout == b"2000\n"
    assert adb("shell", "su 0 id -u").stdout == b"0\n"
    assert not IS_ROOT or adb("shell", "ls /data/adb").returncode != 0  # a user's device has one user's files
    assert b"restarting adbd as root" in adb("root").stdout
    wait_until("the shell is root", lambda: adb("shell", "id -u").stdout == b"0\n")
    assert b"restarting" in adb("unroot").stdout
    wait_until("the shell is not root", lambda: adb("shell", "id -u").stdout == b"2000\n")


@pytest.mark.parametrize(("kind", "magisk", "user"), [("magisk", b"0\n", b""), ("none", b"", b"")])
def test_a_device_without_adb_root_has_su_or_nothing(
    adb: Adb, make_device: MakeDevice, kind: str, magisk: bytes, user: bytes
) -> None:
    _, address = make_device(kind, root_kind=kind)
    adb.connect(address)
    assert b"cannot run as root in production builds" in adb("root").stdout
    assert adb("shell", "id -u").stdout == b"2000\n"
    assert adb("shell", "su -c 'id -u'").stdout == magisk
    assert adb("shell", "su 0 id -u").stdout == user
    if IS_ROOT:  # a user's device has one user's files
        assert adb("push", "/etc/hostname", "/data/adb/x").returncode == 1
        assert adb("shell", "cat /proc/1/environ").returncode != 0
    if magisk:
        assert adb("shell", "su -c 'touch /data/adb/made && ls /data/adb'").stdout == b"made\n"


def test_an_old_device_works_without_exit_codes(adb: Adb, make_device: MakeDevice, tmp_path: Path) -> None:
    _, address = make_device("old", personality=LEGACY)
    adb.connect(address)
    done = adb("shell", "echo one; exit 3")
    assert (done.returncode, done.stdout) == (0, b"one\r\n")
    assert adb("exec-out", "echo").stdout != b"\n"
    (tmp_path / "file").write_bytes(os.urandom(300_000))
    assert adb("push", str(tmp_path / "file"), TMP).returncode == 0
    assert adb("pull", f"{TMP}/file", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_a_key_is_asked_for_and_kept(adb: Adb, make_device: MakeDevice, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    _, known = make_device("asks", auth_mode="accept-new", key_file=str(keys))
    adb.connect(known)
    assert adb("shell", "true").returncode == 0
    assert len(keys.read_bytes().splitlines()) == 1
    _, strict = make_device("knows", auth_mode="never", key_file=str(keys))
    adb.connect(strict)
    assert adb("shell", "true").returncode == 0


def test_a_stranger_stays_unauthorised(adb: Adb, make_device: MakeDevice) -> None:
    _, address = make_device("refuses", auth_mode="never")
    adb.serial = ""
    adb("connect", address)
    adb.serial = address
    wait_until("adb is refused", lambda: "unauthorized" in adb.state(), seen=adb.state)
