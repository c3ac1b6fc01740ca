"""By how much a counter has really grown. Kernels have bugs; what cannot be is not counted.

PSI totals jump by 2^32 ns (4.29 s) where a small negative difference is taken for an unsigned one (kernel bug 219194),
per-CPU sums fall and come back, 32-bit counters wrap. None of that is pressure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig
from .numbers import AOSP_EXACT
from .snapshot import Snapshot
from .state import PolicyState

SLACK_MS: Final = 100  # a counter is read some time after its clock
STALL_US_PER_MS: Final = 1000  # a stall lasts as long as the time it is measured in
PAGES_PER_MS: Final = 1 << 18  # 1 TiB a second of 4 KiB pages: no memory is that fast


def growth(now: int, before: int, dt_ms: int, most_per_ms: int = STALL_US_PER_MS) -> int:
    """now - before; 0 if that is more than `most_per_ms` for each of `dt_ms` milliseconds, or if the counter fell.

    Without `most_per_ms` the counters are PSI totals in microseconds. A counter that is ABSENT has not grown.
    """
    grown = now - before
    if grown <= 0 or before < 0:
        return 0
    if dt_ms < 0:
        dt_ms = 0
    return grown if grown <= (dt_ms + SLACK_MS) * most_per_ms else 0


def borne_out(stall_us: int, threshold_us: int) -> bool:
    """Do the totals bear out an event? ABSENT: it is none of PSI, or nobody can tell, so it counts."""
    return stall_us < 0 or stall_us >= threshold_us


class Refaults(NamedTuple):
    """The counter of file refaults, and what it is compared with. ABSENT where there is none."""

    now_pages: int
    last_pages: int  # the reading before
    fell: int  # 1: the counter fell and was not believed
    init_pages: int  # at the start of the thrashing window


def refaults(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Refaults:
    """The readings as they are counted: no growth is seen that cannot be. AOSP takes them as they are.

    A sum over CPUs may fall and come back, so a counter that fell is believed at the second reading only.
    """
    now, last, start = snapshot.workingset_refault_pages, state.last_refault_pages, state.init_refault_pages
    if config.kind == AOSP_EXACT or now < 0 or now == last:
        return Refaults(now, last, 0, start)
    if now < last and not state.refault_fell:
        return Refaults(last, last, 1, start)
    if growth(now, last, snapshot.now_ms - state.counted_ms, PAGES_PER_MS) == 0:
        return Refaults(now, now, 0, start + now - last)
    return Refaults(now, last, 0, start)
