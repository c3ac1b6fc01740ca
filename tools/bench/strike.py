"""From the reclaim event to the signal, inside the kernel: BPF's own reading of the clock to `signal_generate`.

The clock is read where the program begins to judge an event of the guarded domain; the tracepoint tells when the signal
it sent is on its way. Nobody answers the kicks, so that each gap brings one victim of the list.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import NamedTuple

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.bpf import VARIANT_NAMES, Guard, Order, layout, load_apart
from lmkd_py.kernel.process import read_stat
from tools.observer import Observer

LIMIT_MIB = 96
VICTIMS = 40  # a board; their own memory has to fit beside the page cache
GAP_NS = 5_000_000
PATIENCE_S = 60


class Strikes(NamedTuple):
    """All strikes of one variant."""

    variant: str
    us: list[float]
    busy: int  # signals the kernel could not take at once
    lost: int  # trace records that found the buffer full


def measure(variant: int, strikes: int) -> Strikes:
    """At least `strikes` strikes, VICTIMS a board. RuntimeError if they do not come."""
    found = Strikes(VARIANT_NAMES[variant], [], 0, 0)
    while len(found.us) < strikes:
        us, busy, lost = _one_board(variant)
        found = found._replace(us=found.us + us, busy=found.busy + busy, lost=found.lost + lost)
    return found


def _one_board(variant: int) -> tuple[list[float], int, int]:
    with Sandbox(LIMIT_MIB) as board, tempfile.TemporaryDirectory() as cache:
        order = Order(board.place.psi, limit_events=1, answer_ns=1_000_000, gap_ns=GAP_NS, variants=(variant,))
        arms = load_apart(order, cache, "")
        guard = Guard(arms)
        apps = [board.start_app(f"listed-{number}", 999 - number, 0.5) for number in range(VICTIMS)]
        guard.publish([(app.pid, app.adj, read_stat(app.pid).start_ticks) for app in apps])
        board.start_thrashers(3)
        try:
            with Observer() as observer:
                guard.arm(layout.STRIKE)
                end = time.monotonic() + PATIENCE_S
                while guard.counters().strikes < VICTIMS:
                    if time.monotonic() > end:
                        raise RuntimeError(f"{guard.counters().strikes} of {VICTIMS} strikes within {PATIENCE_S} s")
                    time.sleep(0.02)
                guard.disarm()
                signals = {kill.victim_pid: kill.time_ns for kill in reversed(observer.kills())}
                us = [(signals[struck.pid] - struck.at_ns) / 1000 for struck in guard.strikes(0)]
                return us, guard.counters().busy, observer.lost
        finally:
            guard.disarm()
            guard.close()
            for fd in arms.fds():
                os.close(fd)
