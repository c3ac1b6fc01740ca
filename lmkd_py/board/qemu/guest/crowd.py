"""Applications of a virtual board: `python3 -m lmkd_py.board.qemu.guest.crowd ADJ:MIB...` forks one for each word.

Each has its oom_score_adj, a name that tells it, and its memory from the start. `hog:ADJ:MIB:MIB_PER_S` grows instead.
It says one line `PID NAME` an application and ends; they stay.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import time

MIB = 1 << 20
PR_SET_NAME = 15


def take(size: int) -> mmap.mmap:
    """Private memory with every page written."""
    room = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, mmap.PAGESIZE):
        room[at : at + 8] = os.urandom(8)  # or zram would shrink it to nothing
    return room


def become(name: str, adj: int) -> None:
    """A process of its own with this name and priority."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(adj))
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)


def live(words: list[str]) -> None:
    """Hold memory, or grow, for ever."""
    if words[0] == "hog":
        limit, pace = int(words[2]), float(words[3])
        held: list[mmap.mmap] = []
        while len(held) < limit:
            held.append(take(MIB))
            time.sleep(1 / pace)
    else:
        held = [take(int(words[1]) * MIB)]
    while True:
        signal.pause()


def main() -> None:
    """Fork them all."""
    for word in sys.argv[1:]:
        words = word.split(":")
        adj = int(words[1] if words[0] == "hog" else words[0])
        name = f"{'hog' if words[0] == 'hog' else 'app'}-{adj}"
        ready, done = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ready)
            become(name, adj)
            os.close(done)
            live(words)
        os.close(done)
        os.read(ready, 1)
        os.close(ready)
        print(pid, name, flush=True)


if __name__ == "__main__":
    main()
