"""What an evaluation is for: the kind and level that the rules and the polling go by.

The snapshot holds what woke the killer, untouched. The choice is made here.
"""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig
from .growth import borne_out
from .numbers import AOSP_EXACT, EVENT, POLL
from .snapshot import Snapshot


class Wakeup(NamedTuple):
    """Why the killer evaluates, and how severe the event was that woke it."""

    kind: int  # WakeupKind
    level: int  # Level; ABSENT for VENDOR and ZONEINFO


def announced(snapshot: Snapshot) -> Wakeup:
    """What woke the killer. Where the stall meter spoke, that is an event of its level, whatever came first."""
    if snapshot.metered_level >= 0:
        return Wakeup(EVENT, snapshot.metered_level)
    return Wakeup(snapshot.kind, snapshot.level)


def believed(wakeup: Wakeup, snapshot: Snapshot, config: PolicyConfig) -> Wakeup:
    """What counts of announced(): an event that the totals do not bear out is a poll, no level stands behind it.

    AOSP believes every event.
    """
    if wakeup.kind != EVENT or config.kind == AOSP_EXACT:
        return wakeup
    if borne_out(snapshot.event_stall_us, snapshot.event_threshold_us):
        return wakeup
    return Wakeup(POLL, wakeup.level)
