"""Stall inside a sliding window, from PSI totals read by ourselves: the stand-in for privileged PSI triggers."""

from __future__ import annotations


class StallMeter:
    """Tells when the stall of the last `window_ms` reached a threshold. Fed at about 10 Hz; pure, no clock.

    Like the kernel's triggers it speaks at most once a window and level. A threshold of 0 is off.
    """

    def __init__(self, window_ms: int, some_stall_ms: int, full_stall_ms: int) -> None:
        raise NotImplementedError

    def update(self, now_ms: int, some_total_us: int, full_total_us: int) -> int:
        """Level.CRITICAL (full), Level.MEDIUM (some) or ABSENT. Totals may be ABSENT; the first call sets the base."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all samples (polling stopped; what lies between is not known in detail)."""
        raise NotImplementedError
