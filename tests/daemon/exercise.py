"""Starts tests/daemon/exerciser.py in a private domain; counts, from outside, what its killer makes the kernel do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from types import TracebackType

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.daemon.environment import ENVIRONMENT
from lmkd_py.kernel.protection.lasting import forget_lasting
from lmkd_py.kernel.sensing.perf import ALLOCATION_EVENTS, RECLAIM_EVENTS, EventCounter
from tests.support import REPO_ROOT

FORBIDDEN = tuple(
    f"syscalls:sys_enter_{name}"
    for name in (
        *("mmap", "munmap", "brk", "madvise", "mremap", "openat", "clone", "clone3"),
        *("sendmsg", "sendto", "socket", "execve", "getdents64", "epoll_ctl"),
    )
)
EVENTS = (*ALLOCATION_EVENTS, *RECLAIM_EVENTS, *FORBIDDEN)
LEAN = ("-I", "-S", "-E", "-B", "-X", "no_debug_ranges")


def nonzero(counter: EventCounter) -> dict[str, int]:
    """What was counted, by name, without the zeros."""
    return {event: count for event, count in zip(counter.events, counter.counts, strict=True) if count}


class Exerciser:
    """One armed killer that is woken on demand. Ends with its context."""

    def __init__(self, board: Sandbox, how: str, victims: int = 0, python: Sequence[str] = (sys.executable,)) -> None:
        program = str(REPO_ROOT / "tests" / "daemon" / "exerciser.py")
        self._root = tempfile.TemporaryDirectory(prefix="lmkd-exerciser-")
        last = (self._root.name, str(victims))
        self.process = subprocess.Popen(
            [*python, *LEAN, program, str(REPO_ROOT), board.place.memory, board.place.psi, how, *last],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, **ENVIRONMENT},
        )
        self.said: list[str] = []
        self.killer_pid = int(self._answer("armed"))

    def _answer(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            first, _, rest = line.strip().partition(" ")
            if first == word:
                return rest
            self.said.append(line.strip())
        raise AssertionError(f"ended without saying {word!r}: {self.said}")

    def ask(self, line: str, word: str) -> str:
        """Send one line to the exerciser and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        return self._answer(word)

    def count(self, wakeups: int, events: tuple[str, ...] = EVENTS) -> dict[str, int]:
        """Wake it that often; the events of its deciding thread that happened at all."""
        with EventCounter(events, self.killer_pid) as counter:
            self.ask(f"wake {wakeups}", "woken")
        return nonzero(counter)

    def count_kicks(self, kicks: int) -> dict[str, int]:
        """Kernel events during this many wakeups by kicks."""
        with EventCounter(EVENTS, self.killer_pid) as counter:
            self.ask(f"kick {kicks}", "woken")
        return nonzero(counter)

    def count_ticks(self, ticks: int) -> dict[str, int]:
        """Kernel events while the killer polls, until there were so many warm ticks."""
        with EventCounter(EVENTS, self.killer_pid) as counter:
            self.ask(f"warm {ticks}", "woken")
        return nonzero(counter)

    def sink(self, depth: int) -> int:
        """Evaluate that many frames further down; the top of the stack of frames there."""
        return int(self.ask(f"sink {depth}", "sunk"))

    def memory(self) -> tuple[int, int]:
        """(VmRSS, VmLck) of the killer in kB."""
        with open(f"/proc/{self.killer_pid}/status") as file:
            fields = {line.split()[0]: line.split()[1] for line in file if line.startswith("Vm")}
        return int(fields["VmRSS:"]), int(fields["VmLck:"])

    def results(self) -> dict[str, list[tuple[int, ...]]]:
        """Stop the killer; what the program saw, by the first word of each line."""
        output, _ = self.process.communicate("end\n", timeout=60)
        found: dict[str, list[tuple[int, ...]]] = {}
        for line in output.splitlines():
            word, *numbers = line.split()
            found.setdefault(word, []).append(tuple(int(number) for number in numbers))
        return found

    def __enter__(self) -> Exerciser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            for pid in (self.killer_pid, self.process.pid):
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
        self.process.wait()
        forget_lasting(self._root.name)
        self._root.cleanup()
