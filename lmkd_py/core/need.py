"""The two rules of STEADY, one function each as in `rules`: room is used up, or tasks stall though there is some."""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .decision import SPARED, Verdict
from .numbers import EXHAUSTED, STALLED
from .room import Room
from .rules import SPARE_PERCEPTIBLE


class Need(NamedTuple):
    """What the rules look at."""

    room: Room
    hung: bool  # all tasks of the domain wait in vain: what seems to be room is none
    ample_kb: int  # with so much of it free nobody stalls for want of memory
    stuck_ms: int  # how long nobody has been found at or above the usual floor
    window_ended: bool  # a window over stall and refaults ended with this evaluation
    stall_pct: int  # of the last window; ABSENT: none has ended
    refault_permille: int  # of RAM a second, likewise
    bad_windows: int  # in a row


def exhausted(need: Need, config: PolicyConfig) -> Verdict:
    """Less room is left than the reserve: what tasks take next, nothing but a death can give them."""
    if need.room.kb < need.room.reserve_kb or need.hung:
        return Verdict(EXHAUSTED, 0 if need.stuck_ms >= config.stuck_ms else SPARE_PERCEPTIBLE)
    return SPARED


def stalled(need: Need, config: PolicyConfig) -> Verdict:
    """Tasks wait for pages that were reclaimed shortly before, and it does not get better by itself."""
    if need.window_ended and need.bad_windows >= config.stall_windows and need.room.unused_kb < need.ample_kb:
        return Verdict(STALLED, config.stall_min_adj)
    return SPARED
