"""The pair as it is now, read from outside: who is steward, who is the live killer, when another one went live."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.steward.killers.killers_file import living
from tests.daemon.faults.supervisor import Supervisor

POLL_S = 0.003
PATIENCE_S = 60.0


def parent_of(pid: int) -> int:
    """Parent of a process; 0 once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def start_of(pid: int) -> int:
    """Start time of a process in ticks; 0 once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def state_of(pid: int) -> str:
    """State letter of a process; X once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


class Identity(NamedTuple):
    """One process: its pid may come again, its start time with it does not."""

    pid: int
    start_ticks: int


NOBODY = Identity(0, 0)


def live_killers(root: Path) -> list[Identity]:
    """Killers whose control page says that they are live, and that have not ended."""
    found = []
    for pid, pidfd, shared in living(str(root)):
        if shared.words[layout.MODE] == layout.LIVE and state_of(pid) not in "ZX":
            found.append(Identity(pid, start_of(pid)))
        os.close(pidfd)
        shared.close()
    return found


class Pair:
    """The pair of one state root."""

    def __init__(self, root: Path, supervisor: Supervisor) -> None:
        self.root = root
        self.supervisor = supervisor

    def killer_of(self, steward: int) -> Identity:
        """The live killer this steward keeps; NOBODY: none yet."""
        for killer in live_killers(self.root):
            if parent_of(killer.pid) == steward:
                return killer
        return NOBODY

    def wait(
        self, what: str, former: Identity = NOBODY, meanwhile: Callable[[], None] | None = None
    ) -> tuple[Identity, int]:
        """(killer, ns when it was seen) of the present steward's live killer that is not `former`.

        `meanwhile` is called between two looks.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            steward = self.supervisor.pid
            killer = self.killer_of(steward)
            if killer != NOBODY and killer != former and steward == self.supervisor.pid:
                return killer, time.monotonic_ns()
            assert time.monotonic() < deadline, f"{what}: no live pair for {PATIENCE_S:.0f} s; {self.describe()}"
            if meanwhile is not None:
                meanwhile()
            time.sleep(POLL_S)

    def describe(self) -> str:
        """For the message of a failure."""
        steward = self.supervisor.pid
        killers = [f"{pid} {state_of(pid)} of {parent_of(pid)}" for pid, _ in live_killers(self.root)]
        said = self.supervisor.said.read_text()[-2000:]
        return f"steward {steward} {state_of(steward)}, live killers {killers}, codes {self.supervisor.codes}: {said}"


def send(pid: int, number: int) -> None:
    """A signal to a process of the pair; gone is fine."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def resume(*pids: int) -> None:
    """SIGCONT to each of them."""
    for pid in pids:
        send(pid, signal.SIGCONT)
