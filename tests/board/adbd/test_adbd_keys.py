"""Whom a virtual device lets in: its starter's key, shown by a signature, and nobody else of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.adbd.packet import AUTH, AUTH_PUBLIC_KEY, AUTH_SIGNATURE, AUTH_TOKEN, OPEN
from lmkd_py.board.boards import KEYS, Boards
from lmkd_py.board.errors import SandboxError
from lmkd_py.board.virtual_device import VirtualDevice
from lmkd_py.host.adb.keys import public_keys, signers
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.connect import Connector
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.targets import Target
from tests.board.adbd.test_adbd_elsewhere import NOBODY, alone, endpoint  # noqa: F401  (a fixture)
from tests.board.adbd_tools import Adb, Raw, connect
from tests.support import IS_ROOT, require, wait_until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, as adb and lmkctl see it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("ANDROID_USER_HOME")
    return home


def real_adb(home: Path, user: int | None = None) -> Iterator[Adb]:
    """Debian's adb of a user with this home; `user` other than ourselves has a server of its own."""
    tool = Adb(home.with_name(f"{home.name}-adb-{user}"))
    tool.environment["HOME"] = str(home)
    tool.environment.pop("ANDROID_USER_HOME", None)
    tool.prefix = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups") if user else ()
    try:
        yield tool
    finally:
        tool.close()


@pytest.fixture
def adb(home: Path) -> Iterator[Adb]:
    yield from real_adb(home)


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Adb]:
    """Somebody else on this machine, with a key of their own."""
    require(IS_ROOT, "needs root, to become somebody else")
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())  # where nobody can get to
    os.chown(folder, NOBODY, NOBODY)
    yield from real_adb(folder, NOBODY)
    shutil.rmtree(folder)


def test_adb_and_lmkctl_get_in_with_the_key_that_the_device_made_for_its_starter(
    spaces: None, home: Path, adb: Adb, tmp_path: Path
) -> None:
    with VirtualDevice(str(tmp_path / "device")) as device:
        assert (home / ".android/adbkey").stat().st_mode & 0o777 == 0o600
        adb.connect(device.address)
        assert adb("shell", "echo in").stdout == b"in\n"
        host = Connector(ServerAddress("127.0.0.1", 1)).device(Target(device.address, False))
        assert host.ask(["echo", "in"]).text == "in"
        host.close()


def test_a_key_that_adb_made_is_known(spaces: None, home: Path, adb: Adb, tmp_path: Path) -> None:
    (home / ".android").mkdir()
    assert adb("keygen", str(home / ".android/adbkey")).returncode == 0
    with VirtualDevice(str(tmp_path / "device")) as device:
        adb.connect(device.address)
        assert adb("shell", "echo in").stdout == b"in\n"


def test_another_user_stays_outside(spaces: None, home: Path, adb: Adb, stranger: Adb, tmp_path: Path) -> None:
    with VirtualDevice(str(tmp_path / "device")) as device:
        stranger("connect", device.address)
        stranger.serial = device.address
        wait_until("adb is refused", lambda: "unauthorized" in stranger.state(), seen=stranger.state)
        assert stranger("shell", "id").returncode != 0
        adb.connect(device.address)  # and disturbs nobody
        assert adb("shell", "id -u").stdout == b"0\n"


def test_a_stranger_cannot_talk_a_device_into_anything(spaces: None, home: Path, tmp_path: Path) -> None:
    other = signers(tmp_path / "other")[0]
    with VirtualDevice(str(tmp_path / "device")) as device:
        first = Connector(ServerAddress("127.0.0.1", 1), tmp_path / "other", auth_s=1.0)
        with pytest.raises(DeviceError) as refused:
            first.device(Target(device.address, False)).ask(["id"])
        assert refused.value.fault == Fault.UNAUTHORIZED
        for service in (b"shell:id\0", b"sync:\0", b"root:\0", b"reboot:\0"):
            with Raw(device.address) as raw:
                token = raw.hello()
                assert token is not None
                assert (token.command, token.arg0, len(token.payload)) == (AUTH, AUTH_TOKEN, 20)
                raw.send(OPEN, 1, 0, service)
                assert raw.is_dropped()
        with Raw(device.address) as raw:
            token = raw.hello()
            assert token is not None
            raw.send(AUTH, AUTH_SIGNATURE, 0, other.Sign(token.payload))
            again = raw.receive()
            assert again is not None
            assert (again.command, again.arg0) == (AUTH, AUTH_TOKEN)
            assert again.payload != token.payload  # a token is signed once
            mine = signers()[0]
            raw.send(AUTH, AUTH_SIGNATURE, 0, mine.Sign(token.payload))  # the former one
            third = raw.receive()
            assert third is not None
            assert third.command == AUTH
            raw.send(AUTH, AUTH_PUBLIC_KEY, 0, other.GetPublicKey() + b"\0")
            raw.socket.settimeout(1.0)
            with pytest.raises(TimeoutError):
                raw.socket.recv(1)
        assert connect(device.address).shell("echo in") == "in\n"


def test_vendor_keys_and_a_key_that_is_named_get_in(
    spaces: None, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor, named = tmp_path / "vendor.adb_key", tmp_path / "named"
    for path in (vendor, named):
        signers(path)
    monkeypatch.setenv("ADB_VENDOR_KEYS", str(tmp_path))
    boards = Boards(str(tmp_path / "boards"))
    try:
        board = boards.up("plain", keys=[*public_keys(), *public_keys(named)])
        assert Path(boards.path(board.name, KEYS)).stat().st_mode & 0o777 == 0o600
        for path in (vendor, named):
            host = Connector(ServerAddress("127.0.0.1", 1), path).device(Target(board.address, False))
            assert host.ask(["echo", "in"]).text == "in"
            host.close()
    finally:
        boards.down_all()
    assert sorted(path.name for path in (tmp_path / "boards").iterdir()) == ["lock", "plain1.log"]


def test_a_device_whose_starter_has_no_key_that_works_says_so(home: Path, tmp_path: Path) -> None:
    (home / ".android").mkdir()
    (home / ".android/adbkey").write_text("no key")
    with pytest.raises(SandboxError, match=r"whom the device lets in: .*adbkey: found no private key"):
        VirtualDevice(str(tmp_path / "device"))


@pytest.mark.root("becomes somebody else")
def test_a_users_device_reads_what_the_user_reads(alone: Path, tmp_path: Path) -> None:  # noqa: F811
    secret = alone / "secret"
    secret.write_text("roots")
    secret.chmod(0o600)
    with endpoint("/usr/bin/python3", alone, "--root", str(alone / "dev"), user=NOBODY) as address:
        client = connect(address)
        for path in (f"/proc/1/root{secret}", "/proc/1/environ", "/dev/kmsg"):
            assert client.shell(f"cat {path} 2>/dev/null; echo $?") in ("1\n", "2\n"), path
            with pytest.raises(Exception):  # noqa: B017, PT011 - adb-shell has several
                client.pull(path, str(tmp_path / "pulled"))
        assert client.shell("echo mine >/data/local/tmp/x; cat /data/local/tmp/x") == "mine\n"
        client.close()
