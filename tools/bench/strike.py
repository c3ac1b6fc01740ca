"""From the reclaim event to the signal, inside the kernel: BPF's own reading of the clock to `signal_generate`.

The clock is read where the program begins to judge an event of the guarded domain; the tracepoint tells when the signal
it sent is on its way. Nobody answers the kicks, so that each gap brings one victim: of the list, of the walk, or, where
the reclaiming process itself is struck, one of the expendable readers, which are replaced.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.acting.process import read_stat
from lmkd_py.kernel.bpf import VARIANT_CURRENT, VARIANT_NAMES, Guard, LoggedStrike, Order, layout, load_apart
from tools.observer import SI_KERNEL, Kill, Observer

LIMIT_MIB = 96
VICTIMS = 40  # a board; their own memory has to fit beside the page cache
READERS, EXPENDABLE = 3, 8  # thrashers that nothing strikes, and those that are struck one by one
GAP_NS = 5_000_000
PATIENCE_S = 60


class Strikes(NamedTuple):
    """The in-kernel strikes by one variant of the BPF program."""

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
        attached = load_apart(order, cache, "")
        guard = Guard(attached)
        victims: list[App] = []
        if variant != VARIANT_CURRENT:
            victims = [board.start_app(f"listed-{number}", 999 - number, 0.5) for number in range(VICTIMS)]
        guard.publish([(app.pid, app.adj, read_stat(app.pid).start_ticks) for app in victims])
        board.start_thrashers(READERS)
        try:
            with Observer() as observer:
                guard.arm(layout.STRIKE)
                end = time.monotonic() + PATIENCE_S
                while guard.counters().strikes < VICTIMS:
                    if time.monotonic() > end:
                        raise RuntimeError(f"{guard.counters().strikes} of {VICTIMS} strikes within {PATIENCE_S} s")
                    if variant == VARIANT_CURRENT and not any(app.is_alive() for app in victims[-EXPENDABLE // 2 :]):
                        victims += board.start_thrashers(EXPENDABLE, adj=950)
                    time.sleep(0.02)
                guard.disarm()
                return _us(guard.strikes(0), observer.kills()), guard.counters().busy, observer.lost
        finally:
            guard.disarm()
            guard.close()
            for fd in attached.fds():
                os.close(fd)


def _us(struck: Sequence[LoggedStrike], kills: Sequence[Kill]) -> list[float]:
    """Each strike to its signal; pids come again, so it is the first of the kernel's after the clock was read."""
    found = []
    for each in struck:
        signals = (kill.time_ns for kill in kills if kill.victim_pid == each.pid and kill.code == SI_KERNEL)
        found.append((next(ns for ns in signals if ns >= each.at_ns) - each.at_ns) / 1000)
    return found
