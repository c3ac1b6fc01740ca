"""Wake-ups and processor time of each killer over a minute in which nothing happens."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from tools.bench.arena import Arena
from tools.bench.guards import Daemon
from tools.bench.kill_latency import policy
from tools.bench.packages import Peer
from tools.bench.peers import Box

SETTLE_S = 5.0


class Idle(NamedTuple):
    """Wake-ups and CPU time of one killer while nothing happens."""

    label: str
    seconds: float
    wakeups: int  # context switches, voluntary or not, of every thread
    cpu_ms: float


def usage(pids: list[int]) -> tuple[int, float]:
    """(context switches, milliseconds on a CPU) so far, of every thread of the processes."""
    switches, ran_ns = 0, 0
    for pid in pids:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/status") as stream:
                switches += sum(int(line.split()[1]) for line in stream if "ctxt_switches" in line)
            with open(f"/proc/{pid}/task/{tid}/schedstat") as stream:
                ran_ns += int(stream.read().split()[0])
    return switches, ran_ns / 1e6


def measure(seconds: float, peers: list[Peer], directory: str) -> list[Idle]:
    """All at the same time: ours guards a group of 50 sleeping processes, the others see plenty of memory."""
    with Arena() as arena:
        daemon = Daemon(arena.board.monitor_config(discovery={"scan_min_adj": 100}), policy())
        daemon.start()
        boxes = [Box(peer, arena.program("crowd"), directory) for peer in peers]
        try:
            time.sleep(SETTLE_S)
            groups = {daemon.label: daemon.processes(), **{box.peer.name: [box.daemon()] for box in boxes}}
            began = time.monotonic()
            before = {label: usage(pids) for label, pids in groups.items()}
            time.sleep(seconds)
            passed = time.monotonic() - began
            after = {label: usage(pids) for label, pids in groups.items()}
        finally:
            for box in boxes:
                box.close()
            daemon.stop()
            daemon.forget()
    return [
        Idle(label, passed, after[label][0] - before[label][0], after[label][1] - before[label][1]) for label in groups
    ]
