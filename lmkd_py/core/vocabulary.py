"""The field's words as numbers: adj tiers, pressure levels, kill reasons (AOSP lmkd and ActivityManager)."""

from __future__ import annotations

from enum import IntEnum

# A counter this kernel or domain does not have. Every real quantity of a Snapshot is >= 0.
ABSENT = -1

# oom_score_adj tiers as ActivityManager's ProcessList.java names them.
ADJ_MIN = -1000
ADJ_MAX = 1000
CACHED_APP_MAX_ADJ = 999
CACHED_APP_MIN_ADJ = 900
SERVICE_B_ADJ = 800
PREVIOUS_APP_ADJ = 700
HOME_APP_ADJ = 600
SERVICE_ADJ = 500
HEAVY_WEIGHT_APP_ADJ = 400
BACKUP_APP_ADJ = 300
PERCEPTIBLE_LOW_APP_ADJ = 250
PERCEPTIBLE_APP_ADJ = 200
VISIBLE_APP_ADJ = 100
FOREGROUND_APP_ADJ = 0
NATIVE_ADJ = -1000


class Level(IntEnum):
    """Pressure level of a trigger. PSI some is MEDIUM and PSI full is CRITICAL; vmpressure has all three."""

    LOW = 0
    MEDIUM = 1
    CRITICAL = 2


class WakeupKind(IntEnum):
    """Why an evaluation runs."""

    EVENT = 1  # a trigger fired
    POLL = 2  # the poll timer ran out after an event, a kill or a death
    VENDOR = 3  # a vendor kill request (AOSP memevent 5)
    ZONEINFO = 4  # the kernel says its watermarks changed (AOSP memevent 6); notes them and judges nothing


class Watermark(IntEnum):
    """Lowest zone watermark that free memory is strictly below; ordered so that `breached < HIGH` is low or min."""

    MIN = 0
    LOW = 1
    HIGH = 2
    NONE = 3


class ReclaimState(IntEnum):
    """Who reclaims since the last evaluation."""

    NONE = 0
    KSWAPD = 1
    DIRECT = 2


class KillReason(IntEnum):
    """AOSP's numbers (lmkd statslog.h); a vendor kill is VENDOR_BASE + its own number; ours start at 2000."""

    NONE = -1
    PRESSURE_AFTER_KILL = 0
    NOT_RESPONDING = 1
    LOW_SWAP_AND_THRASHING = 2
    LOW_MEM_AND_SWAP = 3
    LOW_MEM_AND_THRASHING = 4
    DIRECT_RECL_AND_THRASHING = 5
    LOW_MEM_AND_SWAP_UTIL = 6
    LOW_FILECACHE_AFTER_THRASHING = 7
    LOW_MEM = 8
    DIRECT_RECL_STUCK = 9
    VENDOR_BASE = 1000
    IN_KERNEL_STRIKE = 2000  # no verdict of decide(): BPF struck as the killer did not answer


class Action(IntEnum):
    """What one evaluation came to. Numbers are stored in traces."""

    IGNORED = 1  # level filter: a lower event soon after a higher one
    PENDING = 2  # the last victim is not dead yet and its kill timeout not over
    BAIL = 3  # no reclaim and no refault since the last evaluation
    NONE = 4  # evaluated, nothing to do
    KILL = 5  # a verdict stands; whether anybody died is the outcome's business
    INVALID = 6  # vendor request out of range
    UNREADABLE = 7  # a counter without which nothing can be judged is ABSENT


class Compat(IntEnum):
    """IMPROVED mends the eight upstream defects that the oracle's SCHEMA tags; AOSP reproduces them."""

    IMPROVED = 0
    AOSP = 1
