"""Ends the programs of devices whose endpoint has died without doing it itself, SIGKILL included.

A small process forked before anything else. It holds an fd of each device's mount namespace, so that no other can
get its number, and waits for its socket to close.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import NoReturn

PATIENCE_S = 2.0


def members(inode: int) -> list[int]:
    """Every process of this machine in the mount namespace with this inode."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}/ns/mnt").st_ino == inode:
                    found.append(int(name))
            except OSError:
                continue
    return found


def kill_members(inode: int) -> None:
    """SIGKILL all of them, and wait until they are dead; gives up after a while on what cannot die."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and (pids := members(inode)):
        pidfds = [pidfd for pid in pids if (pidfd := _kill(pid, inode)) >= 0]
        for pidfd in pidfds:  # a process leaves its namespaces some time before it is dead
            select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))
            os.close(pidfd)


def _kill(pid: int, inode: int) -> int:
    # Its pidfd; -1 if it is gone.
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return -1
    try:
        # Looked at again now that the pid cannot become somebody else's.
        if os.stat(f"/proc/{pid}/ns/mnt").st_ino != inode:
            os.close(pidfd)
            return -1
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        pass  # it dies
    return pidfd


class Sweeper:
    """Make it while the process is small; end it with close() after all devices are off."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._socket.close()
                _sweep(theirs)
            finally:
                os._exit(0)
        theirs.close()

    def watch(self, inode: int, fd: int) -> None:
        """Register a namespace that is in use."""
        socket.send_fds(self._socket, [b"+%d" % inode], [fd])

    def forget(self, inode: int) -> None:
        """Unregister a namespace that is empty."""
        self._socket.send(b"-%d" % inode)

    def close(self) -> None:
        """End the sweeper process."""
        self._socket.close()
        os.waitpid(self.pid, 0)


def _sweep(control: socket.socket) -> NoReturn:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    # Whatever else was open: a socket or pipe of our maker would not close with him.
    keep = control.fileno()
    os.closerange(0, keep)
    os.closerange(keep + 1, 1 << 16)
    held: dict[int, int] = {}
    while True:
        message, fds, _, _ = socket.recv_fds(control, 64, 1)
        if not message:
            break
        inode = int(message[1:])
        if message[:1] == b"+":
            held[inode] = fds[0]
        elif inode in held:
            os.close(held.pop(inode))
    for inode in held:
        kill_members(inode)
    os._exit(0)
