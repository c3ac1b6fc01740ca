"""Applications of a board as its maker holds them: real processes, each with a pidfd from before its first page."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from .errors import SandboxError
from .launch import bare_program


@dataclass(frozen=True, slots=True)
class App:
    """One process of the board. `name` is its comm as asked for (the kernel keeps 15 bytes)."""

    name: str
    pid: int
    pidfd: int
    uid: int
    adj: int
    size_kb: int  # what it allocates in the end; 0 for a thrasher
    inside: bool  # a member of the guarded domain

    def is_alive(self) -> bool:
        """False once it has exited, reaped or not."""
        return not self.wait_dead(0)

    def wait_dead(self, timeout_s: float) -> bool:
        """Wait for its death; False if it still lives after timeout_s."""
        poller = select.poll()  # select() ends at descriptor 1024
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))

    def signal(self, number: int) -> None:
        """Send a signal by pidfd; nothing happens if it is dead."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def resident_kb(self) -> int:
        """Resident memory now in kB; 0 once it is dead."""
        try:
            with open(f"/proc/{self.pid}/statm") as file:
                pages = int(file.read().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") >> 10 if self.is_alive() else 0


class AppServer:
    """The process all applications of a board are forked from; it is no member of the domain."""

    def __init__(self, places: tuple[str, ...]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                bare_program("lmkd_py.board.appserver", str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket.settimeout(60)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.ask("place", *places)

    def ask(self, *fields: str) -> tuple[str, list[int]]:
        """One request, one reply: its text and the fds that came with it."""
        try:
            self._socket.send("\0".join(fields).encode())
            reply, fds, _, _ = socket.recv_fds(self._socket, 4096, 2)
        except OSError as error:
            raise SandboxError(f"the board's application server does not answer {fields[0]!r}: {error}") from error
        text = reply.decode()
        if not reply or text.startswith("!"):
            raise SandboxError(f"the board cannot {fields[0]} {fields[1:]!r}: {text[1:] or 'its server ended'}")
        return text, fds

    def spawn(
        self,
        name: str | bytes,
        adj: int,
        uid: int,
        size_kb: int,
        work: tuple[str, ...],
        *,
        inside: bool = True,
        keep_zombie: bool = False,
        pid: int = 0,
    ) -> App:
        """Start one process; on return it is named, at its adj and in its cgroups. It allocates from then on."""
        raw = os.fsencode(name) if isinstance(name, str) else name
        text, fds = self.ask(
            "spawn", raw.hex(), str(adj), str(uid), str(pid), str(int(inside)), str(int(keep_zombie)), *work
        )
        return App(os.fsdecode(raw), int(text), fds[0], uid, adj, size_kb, inside)

    def wait_status(self, pid: int) -> int | None:
        """Status of a dead process as os.waitpid() gives it; None while it lives or is kept a zombie."""
        text, _ = self.ask("status", str(pid))
        return int(text) if text != "-" else None

    def let_go(self) -> None:
        """Close the socket: the server ends its processes, reaps them and leaves."""
        self._socket.close()

    def wait(self) -> None:
        """Wait until the server has left, after let_go()."""
        self.process.wait()
        os.close(self.pidfd)
