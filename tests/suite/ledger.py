"""Every process of one test run, noted once a second by a process of its own: python ledger.py RUN.

Reads its standard input until that ends, then prints what it found as JSON. A process belongs to the run when RUN is in
its environment or its parent belongs. A cgroup named after a pid can so be told from that of a parallel run of somebody
else, even when the process that made it is gone.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

VARIABLE = "LMKD_TEST_RUN"
PERIOD_S = 1.0


class SeenProcess:
    """One process that was seen: pid and the kernel's start time tell it from a later one of the same pid."""

    def __init__(self, pid: int, ppid: int, start: int, state: str) -> None:
        self.pid, self.ppid, self.start, self.state = pid, ppid, start, state


def processes() -> list[SeenProcess]:
    """All processes of now, parents before children where the pids did not wrap."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:  # it has ended
                continue
            found.append(SeenProcess(int(name), int(fields[1]), int(fields[19]), fields[0].decode()))
    return sorted(found, key=lambda each: (each.start, each.pid))


def run_of(pid: int) -> str:
    """The run in a process's environment; empty: none, or not ours to read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return ""
    wanted = f"{VARIABLE}=".encode()
    return next((word[len(wanted) :].decode() for word in words if word.startswith(wanted)), "")


def is_likely(pid: int) -> bool:
    """Whether it may be a program of ours that somebody else runs at the same time."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
    except OSError:
        return False
    return b"lmkd" in command or b"lmkctl" in command or b"pytest" in command


def is_part(found: str, run: str) -> bool:
    """Whether `found` names this run, or a run that a test of this run started."""
    return found == run or found.startswith(f"{run}/")


class Ledger:
    """The lives of every process of the run so far, by pid; and which other runs there were.

    Pids come again, within minutes on a busy machine: a life is told by its start, and has an end.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.lives: dict[int, list[list[float]]] = {}  # pid -> [start in clock ticks, seen last in s], both since boot
        self.others: set[str] = set()
        self._strangers: dict[int, int] = {}

    def look(self) -> list[SeenProcess]:
        """Note who is new; those of the run that are there now."""
        present: dict[int, SeenProcess] = {}
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        for each in processes():
            if each.pid == os.getpid() or self._strangers.get(each.pid) == each.start:
                continue
            if not self.knows(each):
                found = run_of(each.pid)
                if not (is_part(found, self.run) or (not found and each.ppid in present)):
                    if not is_part(self.run, found) and (found or is_likely(each.pid)):
                        self.others.add(found or f"pid {each.pid}")
                    self._strangers[each.pid] = each.start
                    continue
                self.note(each)
            present[each.pid] = each
            self.lives[each.pid][-1][1] = now_s
        return list(present.values())

    def knows(self, process: SeenProcess) -> bool:
        """Whether this very process is of the run."""
        return process.pid in self.lives and self.lives[process.pid][-1][0] == process.start

    def note(self, process: SeenProcess) -> None:
        """Take it as a process of the run."""
        self.lives.setdefault(process.pid, []).append([process.start, time.clock_gettime(time.CLOCK_BOOTTIME)])

    def lived(self, pid: int, at_s: float) -> bool:
        """Whether a process of the run had this pid at this time since boot, as exactly as one looks."""
        ticks = os.sysconf("SC_CLK_TCK")
        return any(start / ticks - 1 <= at_s <= last_s + 2 * PERIOD_S for start, last_s in self.lives.get(pid, ()))


def main(run: str) -> None:
    """Look until standard input ends."""
    ledger = Ledger(run)
    # What is forked but runs no other program has the environment that pytest itself was started with.
    for each in processes():
        if each.pid == os.getppid():
            ledger.note(each)
    while not select.select([sys.stdin], [], [], PERIOD_S)[0]:
        ledger.look()
    ledger.look()
    try:
        print(json.dumps({"lives": ledger.lives, "others": sorted(ledger.others)}), flush=True)
    except BrokenPipeError:  # pytest was killed: nobody asks any more
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
