"""The vocabulary's numbers as plain ints, for functions that run at every wakeup and for compilers.

An enum member costs a look-up in its class, and more where enum is the real one; a compiler of plain functions knows
no classes at all. `vocabulary` says what each number means; a test holds both together.
"""

from __future__ import annotations

from typing import Final

# WakeupKind
EVENT: Final = 1
POLL: Final = 2
VENDOR: Final = 3
ZONEINFO: Final = 4

# Level
LOW_LEVEL: Final = 0
MEDIUM_LEVEL: Final = 1
CRITICAL_LEVEL: Final = 2

# Watermark
MIN_MARK: Final = 0
LOW_MARK: Final = 1
HIGH_MARK: Final = 2
NO_MARK: Final = 3

# ReclaimState
NO_RECLAIM: Final = 0
KSWAPD: Final = 1
DIRECT: Final = 2

# KillReason
NO_REASON: Final = -1
PRESSURE_AFTER_KILL: Final = 0
NOT_RESPONDING: Final = 1
LOW_SWAP_AND_THRASHING: Final = 2
LOW_MEM_AND_SWAP: Final = 3
LOW_MEM_AND_THRASHING: Final = 4
DIRECT_RECL_AND_THRASHING: Final = 5
LOW_MEM_AND_SWAP_UTIL: Final = 6
LOW_FILECACHE_AFTER_THRASHING: Final = 7
LOW_MEM: Final = 8
DIRECT_RECL_STUCK: Final = 9
VENDOR_BASE: Final = 1000
IN_KERNEL_STRIKE: Final = 2000
EXHAUSTED: Final = 2001
STALLED: Final = 2002

# Action
IGNORED: Final = 1
PENDING: Final = 2
BAIL: Final = 3
NOTHING: Final = 4
KILL: Final = 5
INVALID: Final = 6
UNREADABLE: Final = 7
HELD: Final = 8

# PolicyKind
AOSP_MENDED: Final = 0
AOSP_EXACT: Final = 1
STEADY: Final = 2

# Judgement.poll_request: bits, so that one int says both whether to start and how fast
KEEP: Final = 0  # leave polling as it is
START: Final = 1  # begin, or begin the second anew; alone: 100 ms unless polling is already faster
SLOW: Final = 2  # set the interval to 100 ms
FAST: Final = 4  # set the interval to 10 ms
