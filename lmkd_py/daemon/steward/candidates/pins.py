"""Files of a process, opened and read once for the killer: its own reads allocate nothing then."""

from __future__ import annotations

import os

from ....kernel.acting.syscalls import pidfd_send_signal
from ...shortage import is_shortage


def pin(pid: int, pidfd: int, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Descriptors of /proc/PID/NAME, never read here again; None: it has ended, or there are no descriptors left.

    OSError: no memory.
    """
    fds = [-1] * len(names)  # each has its place before it is opened: to append it could fail
    try:
        for place, name in enumerate(names):
            fds[place] = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            os.pread(fds[place], 64, 0)  # a seq_file allocates its buffer at the first read
        # Opened by number: only if the registered process still has that number are these its files.
        if pidfd_send_signal(pidfd, 0) == 0:
            return tuple(fds)
    except BaseException as error:
        close_all(fds)
        if is_shortage(error) or not isinstance(error, OSError):
            raise
        return None
    close_all(fds)
    return None


def close_all(fds: list[int] | tuple[int, ...]) -> None:
    """Close these descriptors, where they are any."""
    for fd in fds:
        if fd >= 0:
            os.close(fd)
