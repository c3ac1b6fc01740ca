"""A guarded domain under lasting pressure, and the faults that happen to its guards meanwhile."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from tests.daemon.faults.ledger import Ledger
from tests.daemon.faults.pair import NOBODY, Pair, live_killers, resume, send
from tests.daemon.faults.plan import BOTH, KILLER, START, Fault
from tests.daemon.faults.supervisor import Supervisor

HOG_MIB = 150  # of 256: what is left is fought for by
POPULATION = 50  # apps of
SIZES_MIB = (1.0, 4.0)
EXPENDABLE = (900, 999)
IMPORTANT = (0, 100, 200)
BIRTH_EVERY_S = 0.1
OUTSIDERS = 8


class Recovery(NamedTuple):
    """What a fault did: when it came, and when a live pair was there again, or, as long as nobody says, was seen."""

    fault: Fault
    hit_ns: int
    back_ns: int
    killer_pid: int


class Stage:
    """Pressure, births and faults. `attentive` are the times (ns) in which a steward was up and not stopped."""

    def __init__(self, board: Sandbox, root: Path, seed: int) -> None:
        self.board = board
        self.ledger = Ledger()
        self.source = random.Random(seed)
        self.supervisor = Supervisor(root, root / "said")
        self.pair = Pair(root, self.supervisor)
        self.recoveries: list[Recovery] = []
        self.attentive: list[tuple[int, int]] = []
        self._alive: list[App] = []
        self._next_birth_s = 0.0
        self._pressure: list[App] = []

    # -- life ---------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Outsiders, important apps, and the pressure."""
        for adj in IMPORTANT:
            self._bear(adj, 2.0)
        for number in range(OUTSIDERS):
            self._bear(1000 - number, 1.0, outside=True)

    def live(self, seconds: float) -> None:
        """Start processes for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tend()
            time.sleep(0.005)

    def tend(self) -> None:
        """A birth, if one is due; pressure again, if its maker was struck."""
        now = time.monotonic()
        if now < self._next_birth_s:
            return
        self._next_birth_s = now + BIRTH_EVERY_S
        self._alive = [app for app in self._alive if app.is_alive()]
        if not any(app.is_alive() for app in self._pressure):
            begun_ns = time.monotonic_ns()
            self._pressure = [self.board.start_hog(0, 60, limit_mib=HOG_MIB)]
            self._pressure += self.board.start_thrashers(1, file_mib=96)
            for app in self._pressure:
                self.ledger.born(app, begun_ns, time.monotonic_ns())
        elif len(self._alive) < POPULATION:
            self._bear(self.source.randint(*EXPENDABLE), self.source.uniform(*SIZES_MIB))

    def _bear(self, adj: int, size_mib: float, outside: bool = False) -> None:
        number = len(self.ledger.births)
        begun_ns = time.monotonic_ns()
        app = self.board.start_app(f"a{adj}-{number}", adj, size_mib, outside=outside)
        self.ledger.born(app, begun_ns, time.monotonic_ns())
        if not outside:
            self._alive.append(app)

    def empty(self) -> None:
        """Kill and reap every process."""
        self.board.stop_pressure()
        for birth in self.ledger.births:
            if birth.app.is_alive():
                self.board.end(birth.app)
        self._alive.clear()

    def abandon(self) -> None:
        """Nothing of ours runs on, whatever happened."""
        self.supervisor.abandon()
        for killer in live_killers(self.pair.root):
            send(killer.pid, signal.SIGKILL)

    # -- faults -------------------------------------------------------------------------------------------------

    def suffer(self, fault: Fault) -> None:
        """Undisturbed life, the fault, and life until the pair is back."""
        begun_ns = time.monotonic_ns()
        self.live(fault.pause_s)
        killer, _ = self.pair.wait(f"before {fault}", meanwhile=self.tend)
        steward, number = self.supervisor.pid, self.supervisor.number
        hit = {KILLER: (killer.pid,), BOTH: (killer.pid, steward)}.get(fault.target, (steward,))
        hit_ns = time.monotonic_ns()
        for pid in hit if fault.number % 2 else reversed(hit):
            send(pid, fault.signal)
        if fault.target != KILLER:
            self.attentive.append((begun_ns, hit_ns))
        if fault.signal == signal.SIGSTOP:
            self.live(fault.hold_s)
            resume(*hit)
            killer = NOBODY
        elif fault.target != KILLER:
            number = self.supervisor.after(number)
            for delay_s in fault.delays_s if fault.target == START else ():
                self.live(delay_s)
                hit_ns = time.monotonic_ns()
                send(self.supervisor.pid, fault.signal)
                number = self.supervisor.after(number)
        killer, back_ns = self.pair.wait(str(fault), former=killer, meanwhile=self.tend)
        self.recoveries.append(Recovery(fault, hit_ns, back_ns, killer.pid))
        if fault.target == KILLER:
            self.attentive.append((begun_ns, time.monotonic_ns()))
