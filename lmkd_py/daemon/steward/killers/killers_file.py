"""Which killers a state root has: `killers` holds a line `pid start_ticks` for each, so that a new steward finds them.

A file and not a socket name: whoever cannot write the state root can neither claim to be a killer nor keep one from
being found. It has its full size from the start, so a full disk does not matter later. What it says is believed only
of a process that started at that tick and holds our memory.
"""

from __future__ import annotations

import os

from ....kernel.acting.process import read_stat
from ....kernel.acting.syscalls import pidfd_open
from ....kernel.protection.lasting import find_lasting, is_shared_memory, open_lasting
from ....wire.state_file import read_state_file, refuse_unsafe
from ...inherited import SHARED_FD
from ...shared import KILLER_PID, Shared, shared_bytes

NAME = "killers"
FILE_BYTES = 1024
LEAST_SLOTS = 8  # of a ring; core.config's lower bound


def remember(root: str, pid: int) -> None:
    """Add a killer just forked; those that have ended are dropped. OSError when the file cannot be written."""
    lines = [f"{each} {ticks}\n" for each, ticks in _listed(root) if _start_ticks(each) == ticks]
    lines.append(f"{pid} {_start_ticks(pid)}\n")
    fd = _open(os.path.join(root, NAME))
    try:
        os.pwrite(fd, "".join(lines[-8:]).encode().ljust(FILE_BYTES, b"\n"), 0)
    finally:
        os.close(fd)


def living(root: str) -> list[tuple[int, int, Shared]]:
    """(pid, pidfd, memory) of every killer of this root that is alive; the caller owns them."""
    found = []
    for pid, ticks in dict.fromkeys(_listed(root) + _sharing(root)):
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
        link = os.readlink(path)
        if not is_shared_memory(link):
            return None
        memory = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if os.fstat(memory).st_size < shared_bytes(LEAST_SLOTS):
        os.close(memory)
        return None
    return Shared(memory, "" if "/memfd:" in link else link)


def bequests(root: str, living_path: str) -> list[Shared]:
    """Memory of killers that ended together with their steward; `living_path` is that of one that lives."""
    found = []
    for path in find_lasting(root):
        if path == living_path:
            continue
        try:
            fd = open_lasting(path)
        except OSError:
            continue
        if os.fstat(fd).st_size < shared_bytes(LEAST_SLOTS):
            os.close(fd)
            os.unlink(path)  # its steward died while it made it; the lock says that nobody else makes one now
        else:
            found.append(Shared(fd, path))
    return found


def _sharing(root: str) -> list[tuple[int, int]]:
    # Who says in memory of this root that it is its killer: one the file had no place for is found, too.
    found = []
    for path in find_lasting(root):
        try:
            fd = open_lasting(path)
        except OSError:
            continue
        if os.fstat(fd).st_size >= shared_bytes(LEAST_SLOTS):
            shared = Shared(fd, path)
            pid = shared.words[KILLER_PID]
            shared.close()
            if _holds(pid, path):
                found.append((pid, _start_ticks(pid)))
        else:
            os.close(fd)
    return found


def _holds(pid: int, path: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/{SHARED_FD}") == path
    except OSError:
        return False


def _open(path: str) -> int:
    # What is there and no file of ours makes way: it would be believed by nobody.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        refuse_unsafe(os.lstat(path), path)
    except FileNotFoundError:
        pass
    except OSError:
        os.unlink(path)
    return os.open(path, flags, 0o600)


def _listed(root: str) -> list[tuple[int, int]]:
    try:
        words = [line.split() for line in read_state_file(os.path.join(root, NAME), FILE_BYTES).splitlines()]
    except OSError:
        return []
    return [
        (int(pid), int(ticks)) for pid, ticks in (each for each in words if len(each) == 2) if (pid + ticks).isdigit()
    ]


def _start_ticks(pid: int) -> int:
    try:
        return read_stat(pid).start_ticks
    except (OSError, ValueError):
        return -1
