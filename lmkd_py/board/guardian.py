"""Watches the maker of a board and clears the board away when it ends, in whatever way.

A program of its own, in its own session; arguments: CREATOR_PIDFD SOCKET. Lines on the socket:
    dir PATH    a cgroup to clear
    root PATH   state root of a daemon on this board: what it pinned in the kernel goes, too
    end         a process to kill first (its pidfd comes along)
    last        a process that leaves by itself once the cgroups are clear, and is killed if it does not
    clear       clean end: clear now, answer with one line `left PATH...`, leave
The maker is watched by pidfd: a socket's end would stay open in any child the maker forks.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import time
from contextlib import suppress

from .cleanup import clear, forget_pins

PATIENCE_S = 2.0  # for the application server to reap its children


def _kill(pidfds: list[int]) -> None:
    for pidfd in pidfds:
        with suppress(OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _tidy(directories: list[str], roots: list[str], first: list[int], last: list[int]) -> list[str]:
    _kill(first)
    left = clear(directories, 10.0)
    for root in roots:
        forget_pins(root)
    deadline = time.monotonic() + PATIENCE_S
    for pidfd in last:
        select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))
    _kill(last)
    return clear(left, 10.0) if left else []


def _watch(creator: int, control: socket.socket) -> None:
    directories: list[str] = []
    roots: list[str] = []
    first: list[int] = []
    last: list[int] = []
    poll = select.poll()
    poll.register(creator, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if control.fileno() in ready:
            message, fds, _, _ = socket.recv_fds(control, 4096, 4)
            verb, _, rest = message.decode().partition(" ")
            if verb in ("dir", "root"):
                (directories if verb == "dir" else roots).append(rest)
                control.send(b"ok")
            elif verb in ("end", "last"):
                (first if verb == "end" else last).extend(fds)
                control.send(b"ok")
            elif verb == "clear":
                left = _tidy(directories, roots, first, last)
                control.send(" ".join(["left", *left]).encode())
                return
            elif not message:  # the maker closed it without a word: only its death counts
                poll.unregister(control)
        elif creator in ready:
            _tidy(directories, roots, first, last)
            return


def main() -> None:
    """Watch until the maker ends or asks for the end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _watch(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
