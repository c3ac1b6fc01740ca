"""A trial as a workload sees it: actors come and go, stalls and deaths are noted ten times a second."""

from __future__ import annotations

import os
import random
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

from .cast import Actor, Role, hold
from .readings import KernelKills, is_short, stalled_us
from .register import Register

STEP_S = 0.1
STALLED = 0.1  # of an interval: it counts as pressure
CALM_S = 5.0  # without such an interval, and it is over
PATIENCE_S = 60.0  # for an actor to have its memory, or to answer
BOARD_ROOM_MIB = 347  # MemAvailable + swap of the profile `board`, for which workloads state their sizes


class Trial:
    """Of an order; see run_trial."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.apps: list[tuple[str, int]] = [(name, adj) for name, adj in order["apps"]]
        self.limit_s: float = order["limit_s"]
        self.chance = random.Random(order["seed"])
        self._cgroup: str = order["cgroup"]
        self._scale: float = max(
            0.1, round(order["room_mib"] / BOARD_ROOM_MIB, 1)
        )  # in tenths: a board is not always alike
        self._register = Register(order["register"])
        self._kernel = KernelKills()
        self.actors: list[Actor] = []
        self.begin = time.monotonic()
        # When it got short; the last stall; the highest share of stall in a step.
        self.short_s = self.last_stall_s = self.highest_stall = 0.0
        self._known, self._at = stalled_us()[0], self.begin
        self._poll = select.poll()
        self._by_fd: dict[int, Actor] = {}
        self._next_s = 0.0

    @property
    def now_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begin

    def mib(self, on_board: int) -> int:
        """A size for this board, of the size for the profile `board`."""
        return max(1, int(on_board * self._scale + 0.5))

    def start(self, name: str, adj: int, role: Role, wait: bool = True, cgroup: str = "") -> Actor:
        """Another actor; it has told its first number when this returns, unless it died or `wait` is off."""
        actor = Actor(name, adj, role, cgroup or (f"{self._cgroup}/{name}" if self._cgroup else ""))
        self.actors.append(actor)
        for fd in (actor.pidfd, actor.line_fd):
            self._by_fd[fd] = actor
            self._poll.register(fd, select.POLLIN)
        self._register.tell(actor.pid, adj)
        if wait:
            self.await_word(actor)
        return actor

    def crowd(self, role: Role, without: Sequence[str] = (), cgroup: str = "") -> list[Actor]:
        """All applications but these, one after the other, in this role."""
        return [self.start(name, adj, role, cgroup=cgroup) for name, adj in self.apps if name not in without]

    def idle(self, on_board_mib: int, without: Sequence[str] = ()) -> list[Actor]:
        """crowd() of applications that hold so much memory each and sleep."""
        return self.crowd(hold(self.mib(on_board_mib)), without)

    def set_adj(self, actor: Actor, adj: int) -> None:
        """As ActivityManager does; nothing happens when it is dead."""
        if actor.adj == adj or actor.death_s:
            return
        try:
            with open(f"/proc/{actor.pid}/oom_score_adj", "w") as file:
                file.write(str(adj))
        except OSError:
            return
        actor.adj = adj
        self._register.tell(actor.pid, adj)

    def await_word(self, actor: Actor, heard: int = 0) -> bool:
        """Until it has told more than `heard` numbers; False if it dies before, or does not in time."""
        until = self.now_s + PATIENCE_S
        while len(actor.told) <= heard and not actor.death_s and self.now_s < until:
            self._look(min(until, self._next_s))
        return len(actor.told) > heard

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now_s + seconds
        while self.now_s < until:
            self._look(min(until, self._next_s))

    def run(self, over: Callable[[], float | bool]) -> bool:
        """Until it is over, and then calm for CALM_S; False when that takes too long."""
        over_s, until = 0.0, self.now_s + self.limit_s
        while self.now_s < until:
            self._look(self._next_s)
            if not over_s and over():
                over_s = self.now_s
            if over_s and self.now_s - max(self.last_stall_s, over_s) > CALM_S:
                return True
        return False

    def _look(self, until_s: float) -> None:
        """Note words and deaths; return at the first of them or at this time. The kernel's counters when it is due."""
        left_s = until_s - self.now_s
        for fd, _ in self._poll.poll(max(0.0, left_s) * 1000):
            actor = self._by_fd[fd]
            actor.hear(self.now_s)
            if fd == actor.pidfd:
                self._bury(actor)
            elif actor.is_gone:
                self._poll.unregister(fd)
        if self.now_s >= self._next_s:
            self._count()
            self._next_s = self.now_s + STEP_S

    def _bury(self, actor: Actor) -> None:
        self._poll.unregister(actor.pidfd)
        actor.bury(self.now_s)
        actor.above = [each for each in self.actors if each.adj > actor.adj and not each.death_s]
        self._register.forget(actor.pid)

    def _count(self) -> None:
        now, total = time.monotonic(), stalled_us()[0]
        share = (total - self._known) / 1e6 / max(now - self._at, 1e-3)
        self._known, self._at = total, now
        self.highest_stall = max(self.highest_stall, share)
        if share > STALLED:
            self.last_stall_s = self.now_s
        if not self.short_s and is_short():
            self.short_s = self.now_s
        self._kernel.look()

    def deaths(self) -> list[tuple[str, int, int, int, float, str]]:
        """Name, pid, adj, signal, seconds and by whom: `killer`, `kernel` or `itself`; the first one first."""
        self._kernel.look()
        dead = sorted((actor for actor in self.actors if actor.death_s), key=lambda actor: actor.death_s)
        return [
            (
                *(actor.name, actor.pid, actor.adj, actor.signal, round(actor.death_s, 3)),
                "kernel" if actor.pid in self._kernel.pids else "killer" if actor.signal > 0 else "itself",
            )
            for actor in dead
        ]

    def close(self) -> None:
        """Nobody is left."""
        for actor in self.actors:
            actor.end()
            if self._cgroup and os.path.isdir(f"{self._cgroup}/{actor.name}"):
                os.rmdir(f"{self._cgroup}/{actor.name}")
        self._register.close()
        self._kernel.close()
