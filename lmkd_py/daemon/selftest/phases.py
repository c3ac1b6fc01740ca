"""The phases of the test: pressure with nobody to kill, kills, and pressure while the daemon stands still."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from ...kernel.sensing.perf import EventCounter
from ...wire.record import Record
from .group import Group
from .load import Load, LoadProcess
from .machine import Machine
from .tested_daemon import VICTIM_ADJ, TestedDaemon

READERS = 3
FILE_PER_LIMIT = 2  # of the group's limit
VICTIM_MIB = 0.5
VICTIMS = 24  # at a time
KILLS = 60  # enough
STRUCK = 8
REGISTER_S = 20.0
SETTLE_S, SETTLED_S = 0.5, 10.0
MAJFLT, MINFLT = 9, 7  # of what stands behind the name in /proc/PID/stat


class Counts(NamedTuple):
    """What the killer's deciding thread made the kernel do, by event, without the zeros."""

    events: dict[str, int]
    wakeups: int
    kills: int
    pages_of_reapers: int
    minor_faults: int
    major_faults: int


class Frozen(NamedTuple):
    """What the kernel did while steward and killer stood still. Times since the first reader began, in ms."""

    listed: int
    struck: tuple[int, ...]  # oom_score_adj of the dead in the order of the strikes
    first_ms: float
    filed: int  # strikes read back into the trace
    wrong: int  # dead that were not to die


class Phases:
    """Each method is one phase; all work on the same daemon, its group and its load."""

    def __init__(self, group: Group, load: Load, daemon: TestedDaemon, machine: Machine, limit_mib: int) -> None:
        self.group, self.load, self.daemon, self.machine = group, load, daemon, machine
        self.file_mib = FILE_PER_LIMIT * limit_mib
        self.least_locked_kb = 0  # of the steward under the last pressure; once all is calm it takes its pool again
        self._records: list[Record] = []  # of what was counted last

    def wakeups(self, seconds: float) -> Counts:
        """Count during pressure in which nothing may be killed."""
        return self._counted(lambda: self._press(seconds))

    def kills(self, seconds: float) -> Counts:
        """Pressure, and victims enough for all that want one."""
        self._victims()
        return self._counted(lambda: self._press(seconds, KILLS))

    def _victims(self) -> None:
        for number in range(VICTIMS - self.load.living()):
            self.load.add_victim(VICTIM_ADJ + 1 + number % 90, VICTIM_MIB)

    def _press(self, seconds: float, kills: int = 0) -> None:
        self.load.start_readers(READERS, self.file_mib)
        steward = self.daemon.process.pid
        deadline = time.monotonic() + seconds
        self.least_locked_kb = locked_kb(steward)
        while time.monotonic() < deadline:
            time.sleep(0.05)
            self.least_locked_kb = min(self.least_locked_kb, locked_kb(steward))
            if kills:
                dead = len(self.load.victims) - self.load.living()
                if dead >= kills:
                    break
                if len(self.load.victims) < kills + VICTIMS:
                    self._victims()
        self.load.stop_readers()
        self._settle()
        self.least_locked_kb = min(self.least_locked_kb, locked_kb(steward))

    def _settle(self) -> None:
        # The killer goes to sleep and has the steward file what there is; done once nothing comes any more.
        filed, deadline = -1, time.monotonic() + SETTLED_S
        while filed != self.daemon.status().records and time.monotonic() < deadline:
            filed = self.daemon.status().records
            time.sleep(SETTLE_S)

    def _counted(self, phase: Any) -> Counts:
        killer, events = self.daemon.killer_pid, self.machine.events
        before = len(self.daemon.frames()[0])
        faults = _faults(killer)
        reapers = [EventCounter(("kmem:mm_page_alloc",), tid) for tid in _threads(killer)] if events else []
        for reaper in reapers:
            reaper.__enter__()
        with EventCounter(events, killer) as counter:
            phase()
        for reaper in reapers:
            reaper.__exit__()
        now = _faults(killer)
        records = self._records = self.daemon.frames()[0][before:]
        return Counts(
            {event: count for event, count in zip(counter.events, counter.counts) if count},
            len(records),
            sum([record.outcome.pid > 0 for record in records]),
            sum([reaper.counts[0] for reaper in reapers]),
            now[0] - faults[0],
            now[1] - faults[1],
        )

    def latencies_us(self) -> list[float]:
        """Of every kill that was counted last: from the end of the killer's sleep until its signal was sent."""
        found = []
        for record in self._records:
            timings = record.timings
            if record.outcome.pid > 0:
                found.append(sum(timings[1:]) / 1000)
        return found

    def frozen(self, seconds: float) -> Frozen:
        """Steward and killer are stopped before pressure begins; whoever dies is struck by the kernel."""
        load, daemon = self.load, self.daemon
        for victim in load.victims:
            victim.end()
        load.victims.clear()
        listed = [load.add_victim(VICTIM_ADJ + 50 - number, VICTIM_MIB) for number in range(STRUCK)]
        spared = [load.add_victim(0, VICTIM_MIB)]
        # One reader may die, for programs that can strike only whoever reclaims; it is the last on the list.
        expendable = load.start_readers(0, self.file_mib)
        self._register(listed)
        struck_before = len(daemon.frames()[1])
        daemon.freeze()
        # Their own growth may have been pressure enough for the killer: whom it took before it stood still is not ours.
        listed = [each for each in listed if each.look()]
        try:
            time.sleep(SETTLE_S)  # whom the killer struck for what was left of the pressure is dead by then
            listed = [each for each in listed if each.look()]
            began = time.monotonic_ns()
            expendable = load.start_readers(1, self.file_mib, VICTIM_ADJ)
            readers = load.start_readers(READERS - 1, self.file_mib)
            deadline = time.monotonic() + seconds
            everybody = [*listed, *expendable]
            while time.monotonic() < deadline:
                alive = sum([each.look() for each in listed])
                if not alive or (self.machine.variant == "current" and not expendable[0].look()):
                    break
                time.sleep(0.002)
            dead = [each for each in everybody if not each.look()]
            wrong = sum([not each.look() for each in (*spared, *readers)])
            load.stop_readers()
        finally:
            daemon.thaw()
        self._filed(struck_before + len(dead))
        strikes = daemon.frames()[1][struck_before:]
        # By the kernel's own log: one who is struck first need not be gone first, nor be seen gone.
        struck_ns = {strike.pid: strike.monotonic_ns for strike in strikes}
        dead.sort(key=lambda each: struck_ns.get(each.pid, each.died_ns))
        first_ms = (struck_ns.get(dead[0].pid, dead[0].died_ns) - began) / 1e6 if dead else 0.0
        return Frozen(len(listed), tuple([each.adj for each in dead]), first_ms, len(strikes), wrong)

    def _register(self, listed: list[LoadProcess]) -> None:
        # By the registration file: a scan would need pressure, and then they would die of that.
        path = os.path.join(self.daemon.root, "procs")
        with open(path + ".new", "w") as file:
            file.write("".join([f"{each.pid} 0 {each.adj}\n" for each in listed]))
        os.rename(path + ".new", path)
        deadline = time.monotonic() + REGISTER_S
        while self.daemon.status().candidates < len(listed) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(SETTLE_S)  # the kernel's list is written anew ten times a second at most

    def _filed(self, wanted: int) -> None:
        deadline = time.monotonic() + REGISTER_S
        while len(self.daemon.frames()[1]) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)


def _threads(pid: int) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{pid}/task") if int(name) != pid]


def _faults(pid: int) -> tuple[int, int]:
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return int(words[MINFLT]), int(words[MAJFLT])


def locked_kb(pid: int) -> int:
    """VmLck of a process in kB."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmLck:"):
                return int(line.split()[1])
    return 0
