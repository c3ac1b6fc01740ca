"""A virtual device: the ADB endpoint as a program, and behind it a sandbox whose domain the daemon in it guards.

    with Sandbox(256) as board, VirtualDevice(root, board) as device:
        ...connect to device.address, install, push, start...

Every program of the device joins the board's pen, so that the board's guardian finds it, however it detached itself.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from ..core.config import DEFAULTS, Config
from ..host.adb.keys import KeyFileError, public_keys
from ..wire.confines import Confines, encode_confines
from .adbd.packet import CNXN, HEADER, VERSION, AdbMessage, encode
from .apps import App
from .errors import SandboxError
from .launch import bare_program
from .sandbox import Sandbox

STATE_ROOT = "/data/adb/lmkd_py"  # the daemon's, as the device sees it


class VirtualDevice:
    """One endpoint process on directory `root`; `options` are words of its command line (faults, --auth, ...).

    It lets in who has one of `keys`, lines of an adbkey.pub; default: those of the user who starts it. Any local user
    can connect, and a shell there may do what its starter may.
    """

    def __init__(
        self,
        root: str,
        board: Sandbox | None = None,
        *,
        keys: Sequence[bytes] | None = None,
        port: int = 0,
        name: str = "virtual",
        options: Sequence[str] = (),
        up_within_s: float = 30.0,
    ) -> None:
        self.root, self.board, self.name = os.path.abspath(root), board, name
        self._keys = f"{self.root}.keys"
        write_keys(self._keys, keys)
        words = ["--root", self.root, "--port", str(port), "--name", name, "--end-with-stdin"]
        words += ["--auth", "never", "--keys", self._keys, *options]
        if board is not None:
            words += ["--pen", os.path.join(board.place.daemon, "cgroup.procs"), *_domain(board)]
        self.process = subprocess.Popen(
            bare_program("lmkd_py.board.adbd.program", *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pidfd = os.pidfd_open(self.process.pid)
        if board is not None:
            board.adopt(self.pidfd)
            board.guards(self.state_root())
        try:
            self.address = self._wait_listening(up_within_s)
            wait_answers(self.address, up_within_s)
        except BaseException:
            self.close()
            raise

    def _wait_listening(self, patience_s: float) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if not select.select([self.process.stdout], [], [], patience_s)[0]:
            raise SandboxError(f"the device {self.name} did not listen within {patience_s:g} s")
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening "):
            self.process.wait(patience_s)
            said = self.process.stderr.read(2000).decode(errors="backslashreplace").strip()
            raise SandboxError(f"the device {self.name} did not come up: {said or 'it said nothing'}")
        return line.split()[1]

    def is_alive(self) -> bool:
        """False once the endpoint has died."""
        return not select.select([self.pidfd], [], [], 0)[0]

    def state_root(self) -> str:
        """The daemon's state root, seen from out here."""
        return self.root + STATE_ROOT

    def register(self, apps: list[App] | None = None) -> None:
        """Tell the device's daemon of the board's applications, as ActivityManager would (default: all that live).

        A daemon that nobody configured guards the board from now on: the default would be this whole machine.
        """
        if self.board is None:
            raise SandboxError("a device without a board has no applications to register; wanted kind sandbox")
        if not os.path.exists(f"{self.state_root()}/config.bin"):
            self.board.write_root(self.state_root(), Config(DEFAULTS.policy, self.board.monitor_config()))
        self.board.write_procs(self.state_root(), apps)

    def power_cut(self) -> None:
        """The endpoint dies at once, and all its programs with it."""
        self.process.kill()
        self.process.wait()

    def close(self, patience_s: float = 30.0) -> None:
        """End the device and everything that runs on it."""
        if self.pidfd < 0:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        os.close(self.pidfd)
        self.pidfd = -1
        with suppress(OSError):
            os.unlink(self._keys)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> VirtualDevice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_keys(path: str, keys: Sequence[bytes] | None) -> None:
    """The file of those who are let in; None: this user's own keys, made if there is none. SandboxError."""
    try:
        lines = public_keys() if keys is None else keys
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
    except KeyFileError as error:
        raise SandboxError(f"whom the device lets in: {error}") from error


def _domain(board: Sandbox) -> list[str]:
    # The device's daemon guards the board's domain, and never this whole machine.
    config = board.monitor_config()
    mark = encode_confines(Confines(config.domain.kind, config.domain.path, config.domain.psi_path))
    found = {
        "ro.lmkd_py.domain_kind": str(int(config.domain.kind)),
        "ro.lmkd_py.domain_path": config.domain.path,
        "ro.lmkd_py.domain_psi_path": config.domain.psi_path,
    }
    return ["--mark", mark, *(word for key, value in found.items() for word in ("--prop", f"{key}={value}"))]


def wait_answers(address: str, timeout_s: float) -> None:
    """Say CNXN and wait for any whole answer. SandboxError if there is none."""
    host, _, port = address.rpartition(":")
    hello = encode(AdbMessage(CNXN, VERSION, 1 << 20, b"host::\0"), check=True)
    try:
        with socket.create_connection((host, int(port)), timeout_s) as client:
            client.sendall(hello)
            got = client.recv(HEADER.size, socket.MSG_WAITALL)
    except OSError as error:
        raise SandboxError(f"nobody answers on {address}: {error}") from error
    if len(got) < HEADER.size:
        raise SandboxError(f"{address} hung up without an answer; wanted ADB's CNXN or AUTH")
