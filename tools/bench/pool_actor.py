"""Acts inside a thrashing memory cgroup, with or without the steward's private pool; says how often it had to reclaim.

    python -m tools.bench.pool_actor RESERVE_KB ACTIONS CGROUP_PROCS...

An action is what a steward may have to do for a kill: open, read and close a file of /proc, and 512 KiB of memory.
With a reserve it is given back first and taken again behind the action, though nothing is calm here (not counted).
Prints a JSON object.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time

from lmkd_py.kernel.acting.memory import populate
from lmkd_py.kernel.protection.reserve import Reserve
from lmkd_py.kernel.sensing.perf import RECLAIM_EVENTS, EventCounter

ACTION_BYTES = 512 << 10
PAUSE_S = 0.01


def act() -> None:
    """Open, read and close a file of /proc, then map and touch 512 KiB."""
    fd = os.open("/proc/meminfo", os.O_RDONLY)
    os.read(fd, 8192)
    os.close(fd)
    with mmap.mmap(-1, ACTION_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        populate(area)


def main() -> None:
    """Read the arguments, then act as often as asked and print the times."""
    reserve_kb, actions, *groups = sys.argv[1:]
    for group in groups:
        with open(group, "w") as file:
            file.write("0")
    act()
    reserve = Reserve(int(reserve_kb))
    entered, took_us = 0, []
    with EventCounter(RECLAIM_EVENTS) as counter:
        for _ in range(int(actions)):
            time.sleep(PAUSE_S)
            before = sum(counter.read())
            began = time.monotonic_ns()
            reserve.give_back()
            act()
            took_us.append((time.monotonic_ns() - began) / 1000)
            entered += sum(counter.read()) > before
            reserve.take(reserve.kb << 10)
    print(json.dumps({"entered": entered, "took_us": took_us, "locked": reserve.locked}))


if __name__ == "__main__":
    main()
