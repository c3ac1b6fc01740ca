"""What the tests of the ADB endpoint share: Debian's adb with a server of its own, adb-shell, raw bytes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from adb_shell.adb_device import AdbDeviceTcp  # type: ignore[import-untyped]

from lmkd_py.board.adbd.packet import CNXN, HEADER, VERSION, AdbMessage, encode
from lmkd_py.board.ports import free_port
from lmkd_py.host.adb.keys import public_keys, signers
from tests.support import require, wait_until

PATIENCE_S = 60.0  # ends what hangs; says nothing about how long an answer may take


class Adb:
    """Debian's adb with its own server and its own keys."""

    def __init__(self, home: Path) -> None:
        require(shutil.which("adb"), "adb is not here: apt-get install adb (make test does it as root)")
        home.mkdir()
        self.port = free_port()
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "ANDROID_USER_HOME": str(home),
            "ANDROID_ADB_SERVER_PORT": str(self.port),
        }
        self.environment.pop("ANDROID_SERIAL", None)
        self.home = home
        self.serial = ""
        self.prefix: tuple[str, ...] = ()  # a program that becomes somebody else first

    def __call__(self, *words: str, stdin: bytes = b"", patience_s: float = 60.0) -> subprocess.CompletedProcess[bytes]:
        """Run adb with these words against the connected device."""
        chosen = ("-s", self.serial) if self.serial else ()
        return subprocess.run(
            [*self.prefix, "adb", *chosen, *words],
            input=stdin,
            capture_output=True,
            env=self.environment,
            timeout=patience_s,
        )

    def connect(self, address: str) -> None:
        """Connect, and wait until the device is usable."""
        self.serial = ""
        self("connect", address)
        self.serial = address
        wait_until("adb shows the device", lambda: self.state() == "device", seen=self.state)

    def state(self) -> str:
        """The device's state in adb's word, or its error."""
        found = self("get-state")
        return (found.stdout or found.stderr).decode().strip()

    def close(self) -> None:
        self.serial = ""
        self("kill-server")


def lets_us_in(folder: Path) -> list[str]:
    """Words for an endpoint that knows this user's key and no other."""
    path = folder / "adb_keys"
    path.write_bytes(b"".join(line + b"\n" for line in public_keys()))
    return ["--auth", "never", "--keys", str(path)]


def connect(address: str, patience_s: float = PATIENCE_S, banner: bytes = b"test") -> AdbDeviceTcp:
    """Connect with the adb-shell library and this user's key."""
    host, _, port = address.rpartition(":")
    device = AdbDeviceTcp(host, int(port), default_transport_timeout_s=patience_s, banner=banner)
    device.connect(rsa_keys=signers(), auth_timeout_s=patience_s, read_timeout_s=patience_s)
    return device


class Raw:
    """A client that sends any message, well-formed or not."""

    def __init__(self, address: str, patience_s: float = PATIENCE_S) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), patience_s)

    def send(self, command: int, arg0: int = 0, arg1: int = 0, payload: bytes = b"") -> None:
        self.socket.sendall(encode(AdbMessage(command, arg0, arg1, payload), check=True))

    def receive(self) -> AdbMessage | None:
        """The next message; None once the device has hung up."""
        head = self._exactly(HEADER.size)
        if head is None:
            return None
        command, arg0, arg1, length, _, _ = HEADER.unpack(head)
        payload = self._exactly(length) if length else b""
        return None if payload is None else AdbMessage(command, arg0, arg1, payload)

    def _exactly(self, size: int) -> bytes | None:
        try:
            data = self.socket.recv(size, socket.MSG_WAITALL)
        except ConnectionError:
            return None
        return data if len(data) == size else None

    def hello(self, max_payload: int = 1 << 20, version: int = VERSION) -> AdbMessage | None:
        """Send CNXN and return the device's answer."""
        self.send(CNXN, version, max_payload, b"host::\0")
        return self.receive()

    def is_dropped(self) -> bool:
        """Waits for the device to hang up; what it still says is thrown away."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        return True

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
