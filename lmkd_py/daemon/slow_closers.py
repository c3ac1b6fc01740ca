"""Descriptors whose last close waits for a grace period of RCU: PSI triggers, 25 ms each on two busy CPUs.

A killer that dies while it has the only one of a trigger is not seen dead before that is over, and nobody guards
meanwhile. So its steward has a copy of each, and closes it when another killer is live.
"""

from __future__ import annotations

import _socket as socket
import os
import struct
from time import monotonic

from ..kernel.acting.syscalls import pidfd_getfd

MOST = 2  # PSI triggers of a killer
LATER_S, GAP_S = 1.0, 0.1  # since the last death, and between two: the steward does nothing else while it closes one
CROWD = 32  # so many wait at most
NEVER = -1.0


def give_copies(sock: socket.socket, fds: list[int]) -> None:
    """Killer, before it is armed: the steward gets a copy of each."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))] if fds else []
    sock.sendmsg([b"\1"], rights)


def take_copies(sock: socket.socket) -> tuple[int, ...]:
    """Steward, once the killer is armed: what give_copies() has sent."""
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    _, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(MOST * 4), flags)
    return tuple(fd for _, _, fds in ancillary for fd in memoryview(fds).cast("i"))


def copies_of(pid: int, pidfd: int) -> tuple[int, ...]:
    """Steward, of an orphan, which has given its copies to a steward that is dead. None where the kernel refuses."""
    directory = f"/proc/{pid}/fd"
    copies = []
    try:
        for name in os.listdir(directory):
            if os.readlink(f"{directory}/{name}").endswith(("/memory.pressure", "/pressure/memory")):
                copies.append(pidfd_getfd(pidfd, int(name)))
    except OSError:
        pass
    return tuple(copies)


class SlowClosers:
    """Steward. Copies of dead killers, closed one at a time."""

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self._due_s = 0.0

    def add(self, fds: tuple[int, ...]) -> None:
        """Close these later; of more than CROWD the oldest are closed at once. MemoryError: they are not taken."""
        due_s = monotonic() + LATER_S
        self.waiting += fds
        self._due_s = due_s
        while len(self.waiting) > CROWD:
            os.close(self.waiting.pop(0))

    def tend(self) -> None:
        """Close the oldest if it is due, at most one a call."""
        if self.waiting and monotonic() >= self._due_s:
            os.close(self.waiting.pop(0))
            self._due_s = monotonic() + GAP_S

    def wait_s(self) -> float:
        """Seconds until the next is closed; below 0: there is none."""
        return max(0.0, self._due_s - monotonic()) if self.waiting else NEVER

    def close(self) -> None:
        while self.waiting:
            os.close(self.waiting.pop())
