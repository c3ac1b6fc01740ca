"""Applications of a virtual board: `python3 -m lmkd_py.board.qemu.guest.crowd NAME:ADJ:MIB[:MIB_PER_S[:SPARE_MIB]]...`.

It forks one for each word, with this name and oom_score_adj; each has its memory before the next one starts, or grows
at a pace when there is one. With SPARE_MIB it does not grow while less swap is free: it uses what it has, as fast as it
can, for at a pace kswapd keeps up and nobody is short. It says a line `PID NAME` for each and ends; they stay.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import signal
import sys
import time

MIB = 1 << 20
PR_SET_NAME = 15


def take(size: int) -> mmap.mmap:
    """Map private memory and write to every page."""
    room = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    use(room)
    return room


def use(room: mmap.mmap) -> None:
    """Write to every page."""
    for at in range(0, len(room), mmap.PAGESIZE):
        room[at : at + 8] = os.urandom(8)  # no two pages alike; zram packs them, but one by one


def become(name: str, adj: int) -> None:
    """A process of its own with this name and priority."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(adj))
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)


def free_swap_mib() -> int:
    """Read anew: from /proc/meminfo."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("SwapFree:")) >> 10


def live(mib: int, mib_per_s: float, spare_mib: int, done: int) -> None:
    """Hold memory, or grow, for ever; `done` is closed when there is nothing to wait for."""
    held: list[mmap.mmap] = []
    if mib_per_s:
        os.close(done)
        while len(held) < mib:
            if spare_mib and held and free_swap_mib() < spare_mib:
                use(random.choice(held))
            else:
                held.append(take(MIB))
                time.sleep(1 / mib_per_s)
    else:
        held.append(take(mib * MIB))
        os.close(done)
    while True:
        signal.pause()


def main() -> None:
    """Fork the applications that the arguments name."""
    for word in sys.argv[1:]:
        name, adj, mib, pace, spare = (word + ":0:0").split(":")[:5]
        ready, done = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ready)
            become(name, int(adj))
            live(int(mib), float(pace), int(spare), done)
        os.close(done)
        os.read(ready, 1)
        os.close(ready)
        print(pid, name, flush=True)


if __name__ == "__main__":
    main()
