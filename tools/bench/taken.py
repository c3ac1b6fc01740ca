"""What each killer takes from the kernel for one kill while its memory cgroup thrashes: ours, earlyoom, nohang, oomd.

All live in the same thrashing cgroup, one after the other. Ours kills by real pressure. The others see a shortage that
we write into their namespaces, and a victim of theirs outside of the cgroup. Counted is the killer's deciding thread,
from the end of its sleep to its signal.
"""

from __future__ import annotations

import os
import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from lmkd_py.board.cgroups import read, write
from lmkd_py.kernel.sensing.perf import ALLOCATION_EVENTS, RECLAIM_EVENTS
from tools.bench import peers
from tools.bench.arena import Arena
from tools.bench.guards import Daemon
from tools.bench.kill_latency import policy
from tools.bench.oomd import OomdBox
from tools.bench.packages import Peer
from tools.bench.pairing import SLEEPS, TimedKill, strikes
from tools.bench.programs import build
from tools.observer import EXIT, KILL, WAKING, Event, Observer

RECLAIMS = RECLAIM_EVENTS[:2]
COUNTED = (*ALLOCATION_EVENTS, *RECLAIMS)
FAILURES = 5000  # of the limit, before anybody is measured
PATIENCE_S = 120
MAJFLT = 9  # behind the name in /proc/PID/stat


class Taken(NamedTuple):
    """One killer. counts: for each kill, what was counted between wake-up and signal, in the order of COUNTED."""

    label: str
    struck: list[TimedKill]
    counts: list[tuple[int, ...]]
    major_faults: int  # of the process, over the whole run
    lost: int


def measure(others: list[Peer], directory: str, kills: int, limit_mib: int = 256) -> list[Taken]:
    """Everybody, `kills` each. RuntimeError if the kernel's OOM killer took part or the readers do not thrash."""
    with Arena(limit_mib) as arena:
        arena.start_thrashers()
        _until_full(arena)
        found = [_ours(arena, kills)]
        crowd = build("crowd", directory)
        boxes: list[peers.Box] = []
        try:
            for peer in others:
                boxes.append((OomdBox if peer.name == "oomd" else peers.Box)(peer, crowd, directory))
            time.sleep(peers.SETTLE_S)
            with ThreadPoolExecutor(max(1, len(boxes))) as pool:
                found += pool.map(lambda box: _theirs(arena, box, kills), boxes)
        finally:
            for box in boxes:
                box.close()
        if arena.board.oom_kills():
            raise RuntimeError(f"the kernel's OOM killer took part: {arena.board.oom_kills()} kills")
    return found


def _until_full(arena: Arena) -> None:
    end = time.monotonic() + PATIENCE_S
    while int(read(arena.board.place.memory, "memory.failcnt")) < FAILURES:
        if time.monotonic() > end:
            raise RuntimeError(f"the readers did not run into the limit {FAILURES} times in {PATIENCE_S} s")
        arena.pump(0.1)


def _ours(arena: Arena, kills: int) -> Taken:
    daemon = Daemon(arena.board.monitor_config(discovery={"scan_min_adj": 100}), policy())
    daemon.start()
    try:
        for pid in daemon.processes():  # armed daemons leave limited cgroups only when they start
            write(arena.board.place.memory, "cgroup.procs", str(pid))

        def work(observer: Observer) -> None:
            end = time.monotonic() + PATIENCE_S
            while len(strikes(observer.events(), [daemon.killer])) < kills and time.monotonic() < end:
                arena.pump(0.2)

        return _watched("lmkd-py", daemon.killer, work)
    finally:
        for pid in daemon.processes():
            write(os.path.dirname(arena.board.place.memory), "cgroup.procs", str(pid))
        daemon.stop()
        daemon.forget()


def _theirs(arena: Arena, box: peers.Box, kills: int) -> Taken:
    pid = box.daemon()
    write(arena.board.place.memory, "cgroup.procs", str(pid))

    def work(observer: Observer) -> None:
        for _ in range(kills):
            box.near(peers.NEAR_PCT)
            time.sleep(random.uniform(*peers.QUIET_S))
            seen = len(strikes(observer.events(), [pid]))
            box.short()
            end = time.monotonic() + peers.PATIENCE_S
            while len(strikes(observer.events(), [pid])) == seen and time.monotonic() < end:
                time.sleep(0.005)
            box.near(peers.NEAR_PCT)

    return _watched(f"{box.peer.name} {box.peer.version}", pid, work)


def _watched(label: str, pid: int, work: Callable[[Observer], None]) -> Taken:
    """Two observers: one that is asked all the time, and one of many events that is asked at the end."""
    waits = dict.fromkeys(SLEEPS, f"common_pid=={pid}")
    counted = dict.fromkeys(COUNTED, f"common_pid=={pid}")
    before = _major_faults(pid)
    with (
        Observer([KILL, EXIT, WAKING, *SLEEPS], [pid], waits) as kills,
        Observer(COUNTED, filters=counted, kib=16384) as events,
    ):
        work(kills)
        after = _major_faults(pid)
        struck = strikes(kills.events(), [pid])
        # Of several signals to one victim the first one counts.
        struck = list({strike.victim: strike for strike in reversed(struck)}.values())[::-1]
        seen = [event for event in events.events() if event.name in COUNTED]
        lost = kills.lost + events.lost
    return Taken(label, struck, _between(seen, struck), after - before, lost)


def _between(seen: Sequence[Event], struck: Sequence[TimedKill]) -> list[tuple[int, ...]]:
    times = [event.time_ns for event in seen]
    found = []
    for strike in struck:
        names = [e.name for e in seen[bisect_left(times, strike.woken_ns) : bisect_right(times, strike.kill_ns)]]
        found.append(tuple(names.count(name) for name in COUNTED))
    return found


def _major_faults(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stream:
        return int(stream.read().rpartition(")")[2].split()[MAJFLT])
