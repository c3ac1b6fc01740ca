"""Which faults happen to the pair, in which order: drawn from a seed, so that a run can be repeated."""

from __future__ import annotations

import random
import signal
from typing import NamedTuple

KILLER, STEWARD, BOTH, START = "killer", "steward", "both", "start"
TARGETS = (KILLER, KILLER, STEWARD, STEWARD, BOTH, START)  # drawn from these: each as often as it stands here
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGSTOP)
LAST_ON_KILLER = 8  # the last faults hit killers of one steward, whose descriptors are compared afterwards


class Fault(NamedTuple):
    """One fault. SIGSTOP is taken back after `hold_s`; a fault of a start hits two starts, each after its delay."""

    number: int
    target: str
    signal: signal.Signals
    pause_s: float  # of undisturbed life before it
    hold_s: float
    delays_s: tuple[float, float]

    def __str__(self) -> str:
        return f"fault {self.number}: {self.signal.name} to {self.target}"


def draw(seed: int, count: int) -> list[Fault]:
    """`count` faults; the same for the same seed."""
    source = random.Random(seed)
    faults = []
    for number in range(count):
        target = KILLER if number >= count - LAST_ON_KILLER else source.choice(TARGETS)
        kind = source.choice(SIGNALS)
        if target == START:  # a start that is stopped is no start that fails
            kind = source.choice(SIGNALS[:3])
        delays = (source.uniform(0, 0.5), source.uniform(0, 0.5))
        faults.append(Fault(number, target, kind, source.uniform(0.05, 0.8), source.uniform(0.05, 1.5), delays))
    return faults
