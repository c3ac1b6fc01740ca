"""Many real processes that do nothing: forked sleepers of one small interpreter, about 0.3 MB each.

As a program: COUNT ADJ..., prints its sleepers' pids, each with the next oom_score_adj in turn; they end with it, and
it ends with its standard input.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1


@contextmanager
def sleepers(count: int, adjs: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """(pid, adj) of that many sleeping processes."""
    command = [sys.executable, "-I", "-S", __file__, str(count), *map(str, adjs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        pids = [int(word) for word in program.stdout.readline().split()]
        assert len(pids) == count, "the crowd could not be made"
        yield [(pid, adjs[index % len(adjs)]) for index, pid in enumerate(pids)]
        program.stdin.close()


def main() -> None:
    """Fork the processes, print their pids, wait for stdin to close."""
    count, adjs = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None)
    gc.freeze()  # a collection in a child would copy the pages it shares with this process
    gc.disable()
    pids = []
    with open("/proc/self/oom_score_adj", "w") as own:
        for index in range(count):
            own.write(adjs[index % len(adjs)])  # inherited
            own.flush()
            pid = os.fork()
            if pid == 0:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                while True:
                    signal.pause()
            pids.append(pid)
    print(*pids, flush=True)
    sys.stdin.read()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)  # our own children, not yet reaped: the pids are still theirs
    for pid in pids:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
