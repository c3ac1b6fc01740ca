"""Kernel wake-up to signal, ours and the C loop's, in one thrashing memory cgroup and in turns."""

from __future__ import annotations

import time
from typing import NamedTuple

from lmkd_py.core.config import PolicyConfig
from tools.bench.arena import Arena
from tools.bench.figures import spread
from tools.bench.guards import CLoop, Daemon, Guard, c_loop_files, open_files
from tools.bench.pairing import SLEEPS, TimedKill, after_death, strikes
from tools.bench.records import phases_us, read_decisions
from tools.observer import EXIT, KILL, WAKING, Event, Observer

THRASHING_PCT = 2  # of the file pages refaulted: what lets a wake-up kill; low, so that kills come fast
ROUNDS = 4  # how often the two take turns
FIRST_OF_A_ROUND = 1  # left out: the caches are cold after the change


class Latency(NamedTuple):
    """What one killer did over all its rounds."""

    label: str
    struck: list[TimedKill]
    lost: int
    after_death_ms: list[float]  # death of a victim to its next decision; empty where decisions are not told
    phases_us: dict[str, list[float]]  # by phase of the kill path, from the trace


def policy() -> PolicyConfig:
    """The default policy but for the thrashing limit, which is low so that 200 kills take a minute."""
    return PolicyConfig(thrashing_limit_pct=THRASHING_PCT, thrashing_limit_decay_pct=0)


def one_round(arena: Arena, guard: Guard, kills: int, timeout_s: float) -> tuple[list[Event], list[TimedKill], int]:
    """Starts the killer, lets it strike `kills` times, stops it; everything the kernel told, its strikes, losses."""
    guard.start()
    try:
        tids = guard.tids()
        filters = {name: "||".join(f"common_pid=={tid}" for tid in tids) for name in SLEEPS}
        filters[SLEEPS[0]] = f"({filters[SLEEPS[0]]})&&timeout_msecs!=0"
        with Observer([KILL, EXIT, WAKING, *SLEEPS], tids, filters) as observer:
            end = time.monotonic() + timeout_s
            mine = 0
            while mine < kills and time.monotonic() < end:
                arena.pump(0.05)
                mine = sum(kill.sender_tid in tids for kill in observer.kills())
            arena.pump(0.2)
            events = observer.events()
            lost = observer.lost
    finally:
        guard.stop()
    return events, strikes(events, tids), lost


def measure(kills: int, limit_mib: int = 256) -> list[Latency]:
    """Both killers, `kills` each, in turns. RuntimeError if the kernel's OOM killer took part."""
    with Arena(limit_mib) as arena:
        monitor = arena.board.monitor_config(discovery={"scan_min_adj": 100})
        daemon = Daemon(monitor, policy())
        guards: list[Guard] = [daemon, CLoop(arena, THRASHING_PCT)]
        struck: dict[str, list[TimedKill]] = {guard.label: [] for guard in guards}
        lost = dict.fromkeys(struck, 0)
        gaps: list[float] = []
        told: dict[str, list[float]] = {}
        arena.start_thrashers()
        arena.pump(2)
        for _ in range(ROUNDS):
            for guard in guards:
                want = -(-kills // ROUNDS) + FIRST_OF_A_ROUND
                events, found, missed = one_round(arena, guard, want, timeout_s=60 + want * 3)
                struck[guard.label] += found[FIRST_OF_A_ROUND:]
                lost[guard.label] += missed
                if guard is daemon:
                    decisions = read_decisions(daemon.trace_files()[-1])
                    gaps += after_death(events, found, [decision.decided_ns for decision in decisions])
                    for phase, values in phases_us(found, decisions).items():
                        told.setdefault(phase, []).extend(values)
        if arena.board.oom_kills():
            raise RuntimeError(f"the kernel's OOM killer took part: {arena.board.oom_kills()} kills")
        daemon.forget()
        return [
            Latency(
                label,
                struck[label],
                lost[label],
                gaps if label == daemon.label else [],
                told if label == daemon.label else {},
            )
            for label in struck
        ]


def unlike_files(arena: Arena, daemon: Daemon) -> set[str]:
    """Files that only one of the two killers reads; empty when the comparison is fair."""
    return open_files(daemon.killer) ^ set(c_loop_files(arena))


def rows(found: list[Latency]) -> list[list[str]]:
    """For the table: label, kills, spread in us."""
    return [[each.label, str(len(each.struck)), spread([strike.us for strike in each.struck])] for each in found]
