"""A process whose kernel structs are read: of one thread or two, it rests and dies when told. Loader's child only."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import _thread
import mmap
import os
import struct
from time import sleep

from ..acting.process import read_stat
from ..acting.syscalls import PR_SET_PDEATHSIG, prctl
from .peek import Peek

GROWTH_PAGES = 1500  # much more than the kernel's counters may be off, and no number it is fond of
_ADDRESS = struct.Struct("=Q")
_ANONYMOUS, _SHARED = b"a", b"s"


class ProbedProcess:
    """`tasks` are the addresses of its threads' task_structs, its leader's first. OSError if it cannot be started."""

    def __init__(self, peek: Peek, threads: int) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self.threads = threads
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(self._orders)
                _live(peek, threads, orders, answers)
            finally:
                os._exit(1)
        os.close(orders)
        os.close(answers)
        self.tasks = [_ADDRESS.unpack(self._answer(_ADDRESS.size))[0] for _ in range(threads)]
        self.start_ticks = read_stat(self.pid).start_ticks

    def _answer(self, size: int) -> bytes:
        said = os.read(self._answers, size)
        if len(said) != size:
            raise OSError(f"process {self.pid}, which was to be experimented on, has died")
        return said

    def run(self, order: bytes = b"?") -> None:
        """Let it run for a moment: it comes back from whatever it was in."""
        os.write(self._orders, order)
        self._answer(1)

    def grow_anonymous(self) -> None:
        """GROWTH_PAGES of anonymous memory more. Once."""
        self.run(_ANONYMOUS)

    def grow_shared(self) -> None:
        """GROWTH_PAGES of shared memory more. Once."""
        self.run(_SHARED)

    def stop(self) -> None:
        """Send SIGSTOP and wait until the process has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT, and wait until it has taken note."""
        os.kill(self.pid, signal.SIGCONT)
        self.run()

    def kill(self) -> None:
        """SIGKILL, and wait until it is a zombie: its structs are still there."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        """Kill and reap the process."""
        self.kill()
        os.waitpid(self.pid, 0)
        os.close(self._orders)
        os.close(self._answers)


def _live(peek: Peek, threads: int, orders: int, answers: int) -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def show() -> None:
        os.write(answers, _ADDRESS.pack(peek.task()))

    def rest() -> None:
        show()
        while True:
            sleep(3600)

    show()
    if threads > 1:
        _thread.start_new_thread(rest, ())
    size = GROWTH_PAGES * mmap.PAGESIZE
    areas = {_ANONYMOUS: mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), _SHARED: mmap.mmap(-1, size)}
    while True:
        area = areas.get(os.read(orders, 1), b"")
        for place in range(0, len(area), mmap.PAGESIZE):
            area[place] = 1  # type: ignore[index]
        os.write(answers, b"!")
