"""From the moment pressure begins to the signal, for each trigger: the step response of the whole daemon.

The step is the first reclaim that the pressure-maker enters (`mm_vmscan_memcg_reclaim_begin`): before it the kernel
has nothing to tell. Between steps the group is at rest for longer than the daemon keeps polling, and for more than two
windows of an unprivileged PSI trigger (4 s): the kernel tells of one stall a window, and would hold back the next.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from typing import NamedTuple

from tools.bench.arena import Arena
from tools.bench.guards import Daemon
from tools.bench.kill_latency import policy
from tools.bench.pairing import first_after
from tools.observer import KILL, Observer

RECLAIM = "vmscan:mm_vmscan_memcg_reclaim_begin"
REST_S = (6.5, 8.5)
PATIENCE_S = 8.0
THRASHERS = 6
# A fast disk stalls six thrashers for about 10 % of the time; the step has to be well beyond the threshold.
STALL_MS = 20


class Case(NamedTuple):
    """A trigger and the kind of pressure that fires it."""

    label: str
    hog: bool  # an anon hog; else file thrashers
    changes: dict[str, dict[str, int]]  # of MonitorConfig, by its parts


class Response(NamedTuple):
    """The times of one case, in ms, and how many steps got no answer."""

    label: str
    ms: list[float]
    unanswered: int
    said: list[str]  # the daemon's own words about its triggers


CASES = (
    Case(
        "vmpressure and oom_control alone, anon hog",
        True,
        {"triggers": {"psi_some_stall_ms": 0, "psi_full_stall_ms": 0}, "strike": {"enabled": 0}},
    ),
    Case("all triggers, file thrash", False, {"triggers": {"psi_some_stall_ms": STALL_MS}}),
    Case(
        "PSI alone, file thrash",
        False,
        {"triggers": {"vmpressure": 0, "psi_some_stall_ms": STALL_MS}, "strike": {"enabled": 0}},
    ),
)


class _Hog:
    """A new hog for each step: one that was held back by the limit cannot be taken back."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> list[int]:
        size = str(self.arena.limit_mib * 1024)
        command = [self.arena.program("hog"), size, *self.arena.groups]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return [self._process.pid]

    def begin(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"!")
        self._process.stdin.flush()

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class _Thrash:
    """The same thrashers, stopped between steps: the cache is full, so reclaim begins with the first new page."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena

    def prepare(self) -> list[int]:
        if not self.arena.thrasher_pids():
            self.arena.start_thrashers(THRASHERS)
            self.arena.pump(3)
            self.end()
        return self.arena.thrasher_pids()

    def begin(self) -> None:
        for pid in self.arena.thrasher_pids():
            os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        for pid in self.arena.thrasher_pids():
            os.kill(pid, signal.SIGSTOP)


def measure(case: Case, steps: int, limit_mib: int = 256) -> Response:
    """One case, `steps` steps. RuntimeError if the kernel's OOM killer took part."""
    with Arena(limit_mib) as arena:
        maker = _Hog(arena) if case.hog else _Thrash(arena)
        maker.prepare()  # thrashers fill the cache before anybody watches
        maker.end()
        daemon = Daemon(arena.board.monitor_config(discovery={"scan_min_adj": 100}, **case.changes), policy())
        daemon.start()
        try:
            ms, unanswered = [], 0
            for _ in range(steps):
                arena.pump(random.uniform(*REST_S))
                taken = _one_step(arena, maker, daemon.killer)
                if taken is None:
                    unanswered += 1
                else:
                    ms.append(taken)
        finally:
            maker.end()
            daemon.stop()
            daemon.forget()
        if arena.board.oom_kills():
            raise RuntimeError(f"the kernel's OOM killer took part: {arena.board.oom_kills()} kills")
        return Response(case.label, ms, unanswered, daemon.said)


def _one_step(arena: Arena, maker: _Hog | _Thrash, killer: int) -> float | None:
    pids = maker.prepare()
    with Observer([KILL, RECLAIM], filters={RECLAIM: "||".join(f"common_pid=={pid}" for pid in pids)}) as observer:
        began = time.monotonic_ns()
        maker.begin()
        kills: list[int] = []
        while not kills and time.monotonic_ns() < began + PATIENCE_S * 1e9:
            arena.pump(0.05)
            kills = [kill.time_ns for kill in observer.kills() if kill.sender_pid == killer]
        maker.end()
        reclaims = [event.time_ns for event in observer.events(RECLAIM)]
    start = first_after(reclaims, began)
    if not kills or start is None:
        return None
    return (kills[0] - start) / 1e6
