"""The daemon beside a board, started as the program it is: run until armed, ask, stop; nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from types import TracebackType

from ..wire.control import Reply, Request, Verb, decode_reply, encode_request
from .errors import SandboxError
from .launch import PACKAGE_ROOT
from .sandbox import Sandbox

# The shell joins the board's pen before it becomes the daemon: so does every process the daemon ever forks, and
# the guardian finds a killer that outlives its steward.
_JOIN = 'echo 0 > "$0" && exec "$@"'


class DaemonProcess:
    """`lmkd-py run` on a state root. `lines` is what it said on stdout before and with `armed:`."""

    def __init__(self, board: Sandbox, root: str, *, observe: bool = False, armed_within_s: float = 30.0) -> None:
        self.root = root
        self.log = os.path.join(root, "daemon.log")
        words = [sys.executable, "-m", "lmkd_py.daemon", "run", "--root", root, *(["--observe"] if observe else [])]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", _JOIN, os.path.join(board.place.daemon, "cgroup.procs"), *words],
                cwd=PACKAGE_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pidfd = os.pidfd_open(self.process.pid)
        board.adopt(self.pidfd)
        self.lines = self._wait_armed(armed_within_s)

    @property
    def pid(self) -> int:
        """Pid of the steward."""
        return self.process.pid

    def output(self) -> list[str]:
        """All it has printed so far, both streams, whole lines."""
        with open(self.log, errors="backslashreplace") as log:
            return [line.rstrip("\n") for line in log if line.endswith("\n")]

    def _wait_armed(self, patience_s: float) -> list[str]:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            ended = self.process.poll()
            lines = self.output()
            if any(line.startswith("armed:") for line in lines):
                return lines
            if ended is not None:
                raise SandboxError(f"the daemon ended with code {ended}: {lines[-1] if lines else 'it said nothing'}")
            time.sleep(0.01)
        self.kill()
        raise SandboxError(
            f"the daemon was not armed within {patience_s:g} s; wanted its line `armed:`: see {self.log}"
        )

    def ask(self, verb: int = Verb.STATUS, timeout_s: float = 5.0) -> Reply:
        """One request on its control socket; SandboxError if nobody answers."""
        return ask_daemon(self.root, verb, timeout_s)

    def stop(self, patience_s: float = 20.0) -> int:
        """SIGTERM, and wait for its clean end: its exit code. SandboxError if it does not come."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SandboxError(f"the daemon did not stop within {patience_s:g} s of SIGTERM; it was killed") from None

    def kill(self) -> None:
        """SIGKILL to the steward; its killer goes on as an orphan until the board ends."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> DaemonProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.process.poll() is None:
                self.kill() if error else self.stop()
        finally:
            os.close(self.pidfd)


def ask_daemon(root: str, verb: int = Verb.STATUS, timeout_s: float = 5.0) -> Reply:
    """One request to the daemon of a state root. SandboxError if there is none, or it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(timeout_s)
        try:
            # The root may be longer than a socket address can be.
            directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                client.connect(f"/proc/self/fd/{directory}/ctl")
            finally:
                os.close(directory)
            client.send(encode_request(Request(verb=verb)))
            data = client.recv(1 << 16)
        except OSError as error:
            raise SandboxError(
                f"no daemon answers on {root}/ctl: {error.strerror or error}; wanted a running one: "
                f"lmkd-py run --root {root}"
            ) from error
    if not data:
        raise SandboxError(f"the daemon on {root}/ctl hung up without a reply; ask again")
    return decode_reply(data)
