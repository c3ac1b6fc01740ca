"""How many of a steward's actions enter reclaim, in a thrashing memory cgroup, with the private pool and without."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import NamedTuple

from lmkd_py.board.cgroups import read
from lmkd_py.kernel.protection.reserve import MOST_KB
from tools.bench.arena import Arena
from tools.bench.guards import REPOSITORY

LIMIT_MIB = 128
PATIENCE_S = 300
FAILURES = 5000


class Actions(NamedTuple):
    """The steward's actions of one run, with or without the pool."""

    reserve_kb: int
    actions: int
    entered: int  # actions in which its thread reclaimed
    took_us: list[float]


def measure(actions: int, reserve_kb: int = MOST_KB) -> list[Actions]:
    """Without and with. RuntimeError where the actor fails or the kernel's OOM killer took part."""
    with Arena(LIMIT_MIB, count=1) as arena:
        arena.start_thrashers()
        _until_full(arena)
        found = [_run(arena, actions, kb) for kb in (0, reserve_kb)]
        if arena.board.oom_kills():
            raise RuntimeError(f"the kernel's OOM killer took part: {arena.board.oom_kills()} kills")
    return found


def _until_full(arena: Arena) -> None:
    # Reading files in takes its time: only once the readers run into the limit all the time is memory short.
    end = time.monotonic() + PATIENCE_S
    while int(read(arena.board.place.memory, "memory.failcnt")) < FAILURES:
        if time.monotonic() > end:
            raise RuntimeError(f"the readers did not run into the limit {FAILURES} times in {PATIENCE_S} s")
        arena.pump(0.1)


def _run(arena: Arena, actions: int, kb: int) -> Actions:
    words = [sys.executable, "-m", "tools.bench.pool_actor", str(kb), str(actions), *arena.groups]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode:
        raise RuntimeError(f"the actor failed: {done.stderr.strip()[-400:]}")
    answer = json.loads(done.stdout)
    return Actions(kb, actions, answer["entered"], answer["took_us"])
