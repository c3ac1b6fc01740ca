"""Numbers that traces and configurations hold: one that was given once keeps its meaning."""

from __future__ import annotations

from enum import IntEnum

import pytest

from lmkd_py.core import vocabulary
from lmkd_py.core.vocabulary import (
    Action,
    KillReason,
    Level,
    PolicyKind,
    ProgressSource,
    ReclaimState,
    WakeupKind,
    Watermark,
)

STORED: dict[type[IntEnum], dict[str, int]] = {
    Level: {"LOW": 0, "MEDIUM": 1, "CRITICAL": 2},
    WakeupKind: {"EVENT": 1, "POLL": 2, "VENDOR": 3, "ZONEINFO": 4},
    Watermark: {"MIN": 0, "LOW": 1, "HIGH": 2, "NONE": 3},
    ReclaimState: {"NONE": 0, "KSWAPD": 1, "DIRECT": 2},
    ProgressSource: {"UNKNOWN": 0, "VMSTAT": 1, "BPF": 2, "FAILCNT": 3, "LIMIT_EVENTS": 4},
    Action: {
        "IGNORED": 1, "PENDING": 2, "BAIL": 3, "NONE": 4, "KILL": 5, "INVALID": 6, "UNREADABLE": 7, "HELD": 8,
    },
    PolicyKind: {"AOSP_MENDED": 0, "AOSP_EXACT": 1, "STEADY": 2},
    KillReason: {
        "NONE": -1, "PRESSURE_AFTER_KILL": 0, "NOT_RESPONDING": 1, "LOW_SWAP_AND_THRASHING": 2, "LOW_MEM_AND_SWAP": 3,
        "LOW_MEM_AND_THRASHING": 4, "DIRECT_RECL_AND_THRASHING": 5, "LOW_MEM_AND_SWAP_UTIL": 6,
        "LOW_FILECACHE_AFTER_THRASHING": 7, "LOW_MEM": 8, "DIRECT_RECL_STUCK": 9, "VENDOR_BASE": 1000,
        "IN_KERNEL_STRIKE": 2000, "EXHAUSTED": 2001, "STALLED": 2002,
    },
}  # fmt: skip

# ProcessList.java of AOSP.
TIERS = {
    "CACHED_APP_MAX_ADJ": 999, "CACHED_APP_MIN_ADJ": 900, "SERVICE_B_ADJ": 800, "PREVIOUS_APP_ADJ": 700,
    "HOME_APP_ADJ": 600, "SERVICE_ADJ": 500, "HEAVY_WEIGHT_APP_ADJ": 400, "BACKUP_APP_ADJ": 300,
    "PERCEPTIBLE_LOW_APP_ADJ": 250, "PERCEPTIBLE_APP_ADJ": 200, "VISIBLE_APP_ADJ": 100, "FOREGROUND_APP_ADJ": 0,
    "NATIVE_ADJ": -1000,
}  # fmt: skip


@pytest.mark.parametrize("enum", STORED, ids=lambda enum: str(enum.__name__))
def test_a_number_that_is_stored_keeps_its_meaning(enum: type[IntEnum]) -> None:
    # __members__ has aliases, too: a number given twice.
    assert {name: int(member) for name, member in enum.__members__.items()} == STORED[enum]


def test_the_tiers_are_those_of_aosp() -> None:
    found = {name: number for name, number in vars(vocabulary).items() if name.endswith("_ADJ")}
    assert found == TIERS
