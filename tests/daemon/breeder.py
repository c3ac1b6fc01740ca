"""Short-lived processes that take over each other's pids. A program: LIVE; prints `pid start name` at each birth.

LIVE sleepers at a time; the oldest is ended and its pid given to the next one. Every one has a name of its own from
before its birth, so whoever sees a pid and a name knows which of the pid's owners it was. Ends with its stdin.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys

PR_SET_NAME, PR_SET_PDEATHSIG = 15, 1
BIRTH_EVERY_S = 0.002
_libc = ctypes.CDLL(None)


def give(pid: int) -> None:
    """Have the next fork take this pid, where we may choose and nobody else is quicker."""
    try:
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
    except OSError:
        pass


def bear(number: int) -> int:
    """Fork a sleeping process named cNUMBER."""
    _libc.prctl(PR_SET_NAME, b"c%d" % number, 0, 0, 0)  # the child inherits it: it never has another name
    pid = os.fork()
    if pid == 0:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        while True:
            signal.pause()
    return pid


def start_of(pid: int) -> bytes:
    """Start time of our own child, in ticks: field 22 of its stat."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[19]


def main() -> None:
    """Fork processes until stdin is closed."""
    live = int(sys.argv[1])
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # inherited: whatever adj they are registered with, the kernel says no less
    gc.freeze()
    gc.disable()
    born: list[int] = []
    number = 0
    while not select.select([0], [], [], BIRTH_EVERY_S)[0]:
        if len(born) >= live:
            oldest = born.pop(0)
            os.kill(oldest, signal.SIGTERM)  # our own child, not yet reaped: the pid is still its
            os.waitpid(oldest, 0)
            give(oldest)
        pid = bear(number)
        born.append(pid)
        try:
            os.write(1, b"%d %s c%d\n" % (pid, start_of(pid), number))
        except BrokenPipeError:
            break
        number += 1
    for pid in born:
        os.kill(pid, signal.SIGKILL)
    for pid in born:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
