"""The worst case, end to end: `python3 -m tests.board.onboard.worst MODE STEWARD KILLER HOG_MIB APP...` (all pids).

The daemon guards the board; its steward is stopped (MODE killer) or both its processes are (MODE kernel), a hog grows,
and for as long as it lasts every page that interrupts could get is taken the moment it is free. Ends when somebody
has died of it. This program has opened what it needs before: nobody could do so meanwhile.

Says `NAME VALUE...`: since and until (monotonic ms), dead (pids in the order of their death), hog (its pid), reclaims
and ioctls of the killer's deciding thread, oom_kills of the kernel, held (pages taken at the end).
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import sys
import time
from pathlib import Path

from lmkd_py.kernel.acting.memory import MCL_CURRENT, MCL_FUTURE, mlockall
from lmkd_py.kernel.acting.syscalls import pidfd_open
from lmkd_py.kernel.sensing.perf import EventCounter
from tests.board.onboard.drain import COUNTED, GIVE, KEEP, MIB, drain, oom_kills

WANTED = {"killer": 3, "kernel": 1}  # deaths
HOG_ADJ = {"killer": 0, "kernel": 950}  # one that is spared, and one that may be struck in the kernel
PATIENCE_S, FILL_MIB_PER_S = 60, 48


def hog(mib: int, adj: int) -> int:
    """Fork a child that allocates `mib` and has this adj."""
    pid = os.fork()
    if pid:
        return pid
    Path("/proc/self/oom_score_adj").write_text(str(adj))
    for _ in range(mib):
        room = mmap.mmap(-1, MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        keep.append(room)
        for at in range(0, MIB, mmap.PAGESIZE):
            room[at : at + 8] = os.urandom(8)
        time.sleep(1 / FILL_MIB_PER_S)
    while True:
        signal.pause()


def main() -> None:
    """Run the mode that the module's docstring describes."""
    mode, *numbers = sys.argv[1:]
    steward, killer, mib, *apps = map(int, numbers)
    fd = os.open("/dev/lmkd_drain", os.O_RDWR)
    before = oom_kills()
    stopped = (steward,) if mode == "killer" else (killer, steward)
    watched = {}
    for app in apps:
        try:
            watched[pidfd_open(app)] = app
        except ProcessLookupError:  # the daemon did not wait for us
            continue
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    pid = hog(mib, HOG_ADJ[mode])
    watched[pidfd_open(pid)] = pid
    poll = select.poll()
    for pidfd in watched:
        poll.register(pidfd, select.POLLIN)
    with EventCounter(COUNTED, killer) as counter:
        mlockall(MCL_CURRENT | MCL_FUTURE)
        since, dead = time.monotonic(), list[int]()
        drain(fd, KEEP, PATIENCE_S * 1000)
        while len(dead) < WANTED[mode] and time.monotonic() < since + PATIENCE_S:
            for pidfd, _ in poll.poll(100):
                dead.append(watched[pidfd])
                poll.unregister(pidfd)
        until = time.monotonic()
        counts = counter.read()
        held = drain(fd, GIVE)
        after = oom_kills()
        os.kill(pid, signal.SIGKILL)
        for stopped_pid in stopped:
            os.kill(stopped_pid, signal.SIGCONT)
    print("since", int(since * 1000), "\nuntil", int(until * 1000))
    print("dead", *dead, "\nhog", pid)
    print("reclaims", counts[0], "\nioctls", counts[1], "\noom_kills", after - before, "\nheld", held, flush=True)


keep: list[mmap.mmap] = []
if __name__ == "__main__":
    main()
