"""What people do with the machine. A task is a generator: it is sent the ms of a tick and yields how many it waited.

Nobody reaps before the first tick, so what a workload starts with has to fit into RAM and swap.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import NamedTuple, Protocol

from .memory import CHUNK_KB, MIB, TICK_MS, Memory, Process

Task = Generator[float, float, None]
USE_MS = 0.05  # of the CPU for a chunk that is there
FULL_SPEED_MS = 50  # of a round over up to 150 MiB
CAST = (
    *((f"cached-{adj}", adj) for adj in range(916, 898, -2)),
    ("service-b-800", 800),
    ("previous-700", 700),
    ("home-600", 600),
    ("service-500", 500),
    ("perceptible-200", 200),
    ("visible-100", 100),
)


class Killer(Protocol):
    """Whoever looks at the machine each tick."""

    def tick(self, memory: Memory, reclaimed: bool) -> None: ...


class Result(NamedTuple):
    """What became of a workload."""

    died: tuple[int, ...]  # adj of each that was struck, in that order
    names: tuple[str, ...]
    oom_kills: int
    done: bool  # the task came to its end
    stalled_s: float
    served: Process  # whom the workload is about
    rounds: tuple[tuple[int, int], ...]  # (at ms, ms) of what it does again and again


def run(memory: Memory, killer: Killer, task: Task, limit_ms: int) -> bool:
    """Ticks until the task is at its end, and three seconds of calm after it; whether it got there."""
    next(task)
    done_ms = 0
    while memory.now_ms < limit_ms and not (done_ms and memory.now_ms - done_ms > 3000):
        memory.now_ms += TICK_MS
        memory.reap()
        before = memory.scanned
        ran = memory.background()
        if not done_ms:
            try:
                memory.stalled_ms += task.send(TICK_MS)
            except StopIteration:
                done_ms = memory.now_ms
        killer.tick(memory, ran or memory.scanned != before)
    return done_ms > 0


def grow(memory: Memory, process: Process, to_mib: float, mib_s: float) -> Task:
    """Takes memory at a pace, MiB after MiB, until it has so much or is dead."""
    budget = yield 0.0
    owed_kb = 0.0
    while process.kb < to_mib * MIB and not process.dies_ms:
        owed_kb = min(owed_kb + mib_s * MIB * TICK_MS / 1000, 2 * MIB)
        waited = 0.0
        while owed_kb >= CHUNK_KB and waited < budget and not process.dies_ms:
            more, fits = memory.allocate(process, budget - waited)
            waited += more
            owed_kb -= CHUNK_KB if fits else 0
        budget = yield min(waited, TICK_MS)


def use(memory: Memory, process: Process, chunks: list[int]) -> Task:
    """Touches all of them once."""
    left = yield 0.0
    waited = 0.0
    for chunk in chunks:
        fits = False
        while not fits and not process.dies_ms:
            if left <= 0:
                left, waited = (yield min(waited, TICK_MS)), 0.0
            more, fits = memory.touch(chunk, left)
            waited += more
            left -= more + USE_MS if fits else left


def game(killer: Killer, ratio: float = 8.6, mib: float = 224, pace: float = 24, ram_mib: int = 155) -> Result:
    """Sixteen applications and a game that grows, and then uses what it has."""
    memory = Memory(ratio, ram_mib)
    for name, adj in (*CAST, ("foreground-0", 0)):
        memory.start(name, adj, 8.5)
    player = memory.start("game-0", 0)

    def task() -> Task:
        yield from grow(memory, player, mib, pace)
        for _ in range(3):
            yield from use(memory, player, player.chunks[-len(player.chunks) // 3 :])

    return _result(memory, run(memory, killer, task(), 90_000), player, [])


def leak(killer: Killer, ratio: float = 3.0) -> Result:
    """A cached application leaks beside fourteen others and a foreground that uses its 25 MiB."""
    memory = Memory(ratio)
    for name, adj in CAST:
        memory.start(name, adj, 8.5)
    foreground = memory.start("foreground-0", 0, 25)
    leaker = next(one for one in memory.processes if one.name == "cached-908")
    growing = grow(memory, leaker, 1 << 20, 16)
    rounds: list[tuple[int, int]] = []

    def task() -> Task:
        next(growing)
        budget = yield 0.0
        beat, began = use(memory, foreground, list(foreground.chunks)), memory.now_ms
        next(beat)
        while not leaker.dies_ms:
            try:
                waited = growing.send(budget)
                waited += beat.send(budget)
            except StopIteration:
                rounds.append((memory.now_ms, memory.now_ms - began))
                beat, began = use(memory, foreground, list(foreground.chunks)), memory.now_ms
                next(beat)
            budget = yield min(waited, TICK_MS)

    return _result(memory, run(memory, killer, task(), 60_000), foreground, rounds)


def thrash(killer: Killer, hot_mib: float = 120, ratio: float = 3.0, seconds: int = 40) -> Result:
    """A foreground goes over its memory again and again beside idle applications."""
    memory = Memory(ratio)
    for name, adj in CAST:
        memory.start(name, adj, 8.5)
    foreground = memory.start("foreground-0", 0, hot_mib)
    rounds: list[tuple[int, int]] = []

    def task() -> Task:
        while not foreground.dies_ms:
            began = memory.now_ms
            yield from use(memory, foreground, list(foreground.chunks))
            rounds.append((memory.now_ms, memory.now_ms - began))
            yield 0.0

    return _result(memory, run(memory, killer, task(), seconds * 1000), foreground, rounds)


def switch(killer: Killer, turns: int = 60, ratio: float = 3.0, seed: int = 7) -> Result:
    """A person goes through twelve applications of 30 MiB and returns to them; one that died is started again."""
    memory, dice = Memory(ratio), random.Random(seed)
    for name, adj in (("home-600", 600), ("service-500", 500), ("perceptible-200", 200)):
        memory.start(name, adj, 3.5)
    living: dict[int, Process] = {}
    recent: list[int] = []
    rounds: list[tuple[int, int]] = []

    def task() -> Task:
        for turn in range(turns):
            again = recent[1:5] if dice.random() < 0.7 else recent[1:]
            number = turn if turn < 12 else dice.choice(again)
            began = memory.now_ms
            recent[:] = [number, *(one for one in recent if one != number)]
            for place, other in enumerate(recent[1:]):
                living[other].adj = min(900 + 2 * place, 998) if place else 700
            if number not in living or living[number].dies_ms:
                living[number] = memory.start(f"app-{number}", 0)
                yield from grow(memory, living[number], 30, 60)
                yield from idle(600)
            living[number].adj = 0
            yield from use(memory, living[number], living[number].chunks[: 14 * MIB // CHUNK_KB])
            rounds.append((memory.now_ms, memory.now_ms - began))
            yield from idle(600)

    return _result(memory, run(memory, killer, task(), 200_000), living.get(0) or memory.processes[0], rounds)


def idle(ms: int) -> Task:
    """Does nothing for so long."""
    for _ in range(ms // TICK_MS):
        yield 0.0


def _result(memory: Memory, done: bool, served: Process, rounds: list[tuple[int, int]]) -> Result:
    died = memory.deaths
    return Result(
        tuple(one.adj for one in died),
        tuple(one.name for one in died),
        memory.oom_kills,
        done,
        memory.stalled_ms / 1000,
        served,
        tuple(rounds),
    )


def fewest(workload: Callable[[Killer], Result], oracle: Callable[[int], Killer]) -> int:
    """How many have to die for certain: the smallest number that suffices when they die before it begins."""
    return next(kills for kills in range(len(CAST) + 1) if is_fine(workload(oracle(kills))))


def is_fine(result: Result) -> bool:
    """The kernel killed nobody, whom it is about lives, and it came to its end or goes on at full speed."""
    quick = result.done if not result.rounds else result.rounds[-1][1] <= FULL_SPEED_MS
    return quick and not result.oom_kills and not result.served.dies_ms
