"""The values of this room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ..qemu.guest.trial import Trial


class Progress(NamedTuple):
    """How far the workload came."""

    calm: bool  # stalls had ended when it did
    done_s: float  # when the one in front had all it wanted; 0: never
    progress: dict[str, Any]  # in the workload's own words


class Workload(NamedTuple):
    """A workload, and what is known about it beforehand."""

    name: str
    perform: Callable[[Trial], Progress]
    minimum: int  # deaths, on the profile `board`; 0 where all of it fits
    culprits: Sequence[str] = ()  # whoever kills one of these is right at any time


def at(part: Sequence[float], share: float) -> float:
    """A percentile (share 0 to 1) of values; -1 for none."""
    return sorted(part)[min(len(part) - 1, int(share * len(part)))] if part else -1.0


def rounds(told: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """Of an actor that tells the microseconds of each round: how many, how long, and since when none was slow.

    Slow are two rounds of 100 ms and more in a row: one may be the host's fault. `fast_since_s` is -1 when the last
    second had such two, or there is no round at all.
    """
    taken = [us / 1000 for _, us in told]
    slow = [when for (_, before), (when, us) in pairwise(told) if min(before, us) >= 100_000]
    last_s = told[-1][0] if told else 0.0
    since = slow[-1] if slow else 0.0
    return {
        "rounds": len(told),
        "round_ms": [round(at(taken, share), 1) for share in (0.5, 0.95, 1.0)],
        "last_rounds_ms": [round(ms, 1) for ms in taken[-5:]],
        "fast_since_s": round(since, 2) if told and last_s - since > 1.0 else -1.0,
    }
