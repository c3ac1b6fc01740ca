"""Which killers a state root has: `killers` holds a line `pid start_ticks` for each, so that a new steward finds them.

A file and not a socket name: whoever cannot write the state root can neither claim to be a killer nor keep one from
being found. It has its full size from the start, so a full disk does not matter later. What it says is believed only
of a process that started at that tick and holds our memory.
"""

from __future__ import annotations

import os

from ...kernel.process import read_stat
from ...kernel.syscalls import pidfd_open
from ..inherited import SHARED_FD
from ..shared import Shared, shared_bytes

NAME = "killers"
FILE_BYTES = 1024
MEMORY_NAME = "lmkd_py"
LEAST_SLOTS = 8  # of a ring; core.config's lower bound


def remember(root: str, pid: int) -> None:
    """Add a killer just forked; those that have ended are dropped. OSError when the file cannot be written."""
    lines = [f"{each} {ticks}\n" for each, ticks in _listed(root) if _start_ticks(each) == ticks]
    lines.append(f"{pid} {_start_ticks(pid)}\n")
    fd = os.open(os.path.join(root, NAME), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, "".join(lines[-8:]).encode().ljust(FILE_BYTES, b"\n"), 0)
    finally:
        os.close(fd)


def living(root: str) -> list[tuple[int, int, Shared]]:
    """(pid, pidfd, memory) of every killer of this root that is alive; the caller owns them."""
    found = []
    for pid, ticks in _listed(root):
        try:
            pidfd = pidfd_open(pid)
        except OSError:
            continue
        shared = _memory_of(pid) if _start_ticks(pid) == ticks else None
        if shared is None:
            os.close(pidfd)
        else:
            found.append((pid, pidfd, shared))
    return found


def _memory_of(pid: int) -> Shared | None:
    path = f"/proc/{pid}/fd/{SHARED_FD}"
    try:
        if not os.readlink(path).startswith(f"/memfd:{MEMORY_NAME}"):
            return None
        memory = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if os.fstat(memory).st_size < shared_bytes(LEAST_SLOTS):
        os.close(memory)
        return None
    return Shared(memory)


def _listed(root: str) -> list[tuple[int, int]]:
    try:
        fd = os.open(os.path.join(root, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        words = [line.split() for line in os.read(fd, FILE_BYTES).splitlines()]
    except OSError:
        return []
    finally:
        os.close(fd)
    return [
        (int(pid), int(ticks)) for pid, ticks in (each for each in words if len(each) == 2) if (pid + ticks).isdigit()
    ]


def _start_ticks(pid: int) -> int:
    try:
        return read_stat(pid).start_ticks
    except (OSError, ValueError):
        return -1
