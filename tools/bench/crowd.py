"""The processes that are there to be killed, and the news of them."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence

Listener = Callable[[bytes], None]


class Crowd:
    """`count` processes of `kib` each inside the cgroups, each replaced when it dies; adj from `lowest` to `highest`.

    pump() reads the news; listeners get the lines `+PID ADJ` and `-PID` as they came.
    """

    def __init__(self, program: str, groups: Sequence[str], count: int, kib: int, lowest: int, highest: int) -> None:
        self.count = count
        self.living: dict[int, int] = {}  # pid: adj
        self.listeners: list[Listener] = []
        self._rest = b""
        command = [program, str(count), str(kib), str(lowest), str(highest), *groups]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self._process.stdout is not None
        self._news = self._process.stdout.fileno()
        os.set_blocking(self._news, False)

    def wait_complete(self, timeout_s: float = 30) -> None:
        """Until all are there. RuntimeError if they are not in time."""
        end = time.monotonic() + timeout_s
        while len(self.living) < self.count:
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f"{len(self.living)} of {self.count} processes came up")
            self.pump(0.1)

    def pump(self, timeout_s: float = 0) -> None:
        """Passes on what has happened, waiting up to timeout_s for something to happen."""
        if not select.select([self._news], [], [], timeout_s)[0]:
            return
        data = self._rest + os.read(self._news, 65536)
        whole, _, self._rest = data.rpartition(b"\n")
        lines = whole.splitlines()
        for line in lines:
            pid, _, adj = line[1:].partition(b" ")
            if line[:1] == b"+":
                self.living[int(pid)] = int(adj)
            else:
                self.living.pop(int(pid), None)
        for listener in self.listeners:
            listener(b"".join(line + b"\n" for line in lines))

    def roll(self) -> bytes:
        """The living members, one line `+PID ADJ` each."""
        return b"".join(b"+%d %d\n" % pair for pair in self.living.items())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
