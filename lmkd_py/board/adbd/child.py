"""Programs of the device: started in its namespaces, waited for without a thread, ended with it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import Sequence
from typing import Callable, NoReturn, Optional

from .linux import PR_SET_PDEATHSIG, prctl

NOT_STARTED = 126


class Child:
    """A running program. Its own session and process group leader."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.code: Optional[int] = None

    async def wait(self) -> int:
        """Its exit code, 128 + signal when one killed it."""
        while not self.reap():
            await ready(self.pidfd)
        return self.code if self.code is not None else NOT_STARTED

    def reap(self) -> bool:
        """Take its status if it has died; False while it lives."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                return False
            os.close(self.pidfd)
            self.code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return True

    def abandon(self) -> None:
        """Nobody waits for it any more: it is reaped when it dies."""
        if not self.reap():
            loop = asyncio.get_running_loop()

            def died() -> None:
                loop.remove_reader(self.pidfd)
                self.reap()

            loop.add_reader(self.pidfd, died)

    def signal(self, number: int, group: bool = False) -> None:
        """Signal it, or all of its process group, if it still lives."""
        if self.code is None:
            try:
                if group:
                    os.killpg(self.pid, number)
                else:
                    os.kill(self.pid, number)
            except ProcessLookupError:
                pass


def start(
    argv: Sequence[str],
    environment: dict[str, str],
    fds: tuple[int, int, int],
    enter: Callable[[], None],
    terminal: bool = False,
) -> Child:
    """Start a program with `fds` as its three streams; `enter` runs in the child before it. Raises OSError."""
    pid = os.fork()
    if not pid:
        _become(argv, environment, fds, enter, terminal)
    return Child(pid)


def _become(
    argv: Sequence[str],
    environment: dict[str, str],
    fds: tuple[int, int, int],
    enter: Callable[[], None],
    terminal: bool,
) -> NoReturn:
    try:
        os.setsid()
        os.umask(0)  # as adbd has it: who makes a file on a device has to say its mode
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if terminal:
            fcntl.ioctl(fds[0], termios.TIOCSCTTY, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        enter()
        # Above the three, so that none is overwritten before it is used.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in fds]
        for place, fd in enumerate(high):
            os.dup2(fd, place)
        os.closerange(3, 1 << 16)
        os.execve(argv[0], list(argv), environment)
    except BaseException as error:
        try:
            os.write(fds[2], f"adbd: {argv[0]}: {error}\n".encode())
        finally:
            os._exit(NOT_STARTED)
    sys.exit(NOT_STARTED)  # never reached


async def ready(fd: int, to_write: bool = False) -> None:
    """Wait until an fd can be read (or written)."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)

    def wake() -> None:
        remove(fd)
        if not future.done():
            future.set_result(None)

    add(fd, wake)
    try:
        await future
    finally:
        remove(fd)


def set_window(fd: int, text: bytes) -> None:
    """TIOCSWINSZ from ADB's `ROWSxCOLUMNS,XxY`; nonsense is ignored."""
    try:
        rows, columns, x, y = (min(int(word[:6]), 65535) for word in text.rstrip(b"\0").replace(b",", b"x").split(b"x"))
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, x, y))
    except (ValueError, OSError):
        pass
