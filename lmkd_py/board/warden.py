"""The maker's end of the guardian: start it, tell it what to clear, ask it for a clean end."""

from __future__ import annotations

import os
import socket
import subprocess
from types import TracebackType

from .cleanup import clear
from .errors import SandboxError
from .launch import bare_program


class Warden:
    """A guardian process. Everything told to it is ended and removed when this process dies or calls clear()."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._directories: list[str] = []
        creator = os.pidfd_open(os.getpid())
        with theirs:
            self._process = subprocess.Popen(
                bare_program("lmkd_py.board.guardian", str(creator), str(theirs.fileno())),
                pass_fds=(creator, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        os.close(creator)
        self._socket.settimeout(30)

    @property
    def pid(self) -> int:
        """Pid of the guardian process."""
        return self._process.pid

    def _tell(self, message: str, fds: tuple[int, ...] = ()) -> str:
        try:
            socket.send_fds(self._socket, [message.encode()], list(fds))
            return self._socket.recv(4096).decode()
        except OSError as error:
            raise SandboxError(f"the board's guardian (pid {self.pid}) does not answer: {error}") from error

    def adopt_directory(self, path: str) -> None:
        """Clear this cgroup (members, then the directory) at the end. Tell it before anything runs in there."""
        self._directories.append(path)
        if self._tell(f"dir {path}") != "ok":
            raise SandboxError(f"the board's guardian (pid {self.pid}) ended early")

    def adopt_root(self, path: str) -> None:
        """At the end take out of the kernel what a daemon of this state root has pinned."""
        if self._tell(f"root {path}") != "ok":
            raise SandboxError(f"the board's guardian (pid {self.pid}) ended early")

    def adopt_process(self, pidfd: int, *, leaves_last: bool = False) -> None:
        """Kill this process at the end: before anything else, or last, if it has not left by itself."""
        if self._tell("last" if leaves_last else "end", (pidfd,)) != "ok":
            raise SandboxError(f"the board's guardian (pid {self.pid}) ended early")

    def clear(self) -> list[str]:
        """End and remove everything now. Returns what is still there, which is nothing unless a task is stuck."""
        try:
            reply = self._tell("clear")
        except SandboxError:
            reply = ""
        left = reply.split()[1:] if reply.startswith("left") else clear(self._directories)
        self._socket.close()
        self._process.wait()
        return left

    def __enter__(self) -> Warden:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
