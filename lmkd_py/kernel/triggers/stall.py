"""Stall inside a sliding window, from PSI totals read by ourselves: the stand-in for privileged PSI triggers."""

from __future__ import annotations

from ...core.vocabulary import ABSENT, Level

_SAMPLES = 64
PACE_MS = 50  # least time between two samples; more where a window would not fit into so many


class _Line:
    """One of the two lines, some or full: its samples and when it last spoke."""

    def __init__(self, window_ms: int, stall_ms: int) -> None:
        self._window_ms = window_ms
        self._stall_us = stall_ms * 1000
        self._times = [0] * _SAMPLES
        self._totals = [0] * _SAMPLES
        self.reset()

    def reset(self) -> None:
        self._first = self._count = 0
        self._quiet_until_ms = ABSENT

    def update(self, now_ms: int, total_us: int) -> bool:
        """True if the stall of the last window reached the threshold and this was not said within the window."""
        if self._stall_us <= 0 or total_us < 0:
            return False
        times, totals = self._times, self._totals
        # The oldest sample that is still inside the window is what we measure from: never more than a window.
        while self._count and (now_ms - times[self._first] > self._window_ms or total_us < totals[self._first]):
            self._first = (self._first + 1) % _SAMPLES
            self._count -= 1
        last = (self._first + self._count) % _SAMPLES
        times[last], totals[last] = now_ms, total_us
        self._count += 1
        if total_us - totals[self._first] < self._stall_us or now_ms < self._quiet_until_ms:
            return False
        self._quiet_until_ms = now_ms + self._window_ms
        return True


class StallMeter:
    """Tells when the stall of the last `window_ms` reached a threshold. Fed at 10 Hz or faster; pure, no clock.

    Like the kernel's triggers it speaks at most once a window and level. A threshold of 0 is off. Of totals that come
    faster than at its pace most are not looked at: most kills do not wait for it, and no window is cut short.
    """

    def __init__(self, window_ms: int, some_stall_ms: int, full_stall_ms: int) -> None:
        self.pace_ms = max(PACE_MS, -(-window_ms // (_SAMPLES - 1)))
        self._due_ms = 0
        self._some = _Line(window_ms, some_stall_ms)
        self._full = _Line(window_ms, full_stall_ms)

    def update(self, now_ms: int, some_total_us: int, full_total_us: int) -> int:
        """Level.CRITICAL (full), Level.MEDIUM (some) or ABSENT. Totals may be ABSENT; the first call sets the base."""
        if now_ms < self._due_ms:
            return ABSENT
        self._due_ms = now_ms + self.pace_ms
        some = self._some.update(now_ms, some_total_us)
        if self._full.update(now_ms, full_total_us):
            return int(Level.CRITICAL)
        return int(Level.MEDIUM) if some else ABSENT

    def reset(self) -> None:
        """Forget all samples and start again."""
        self._due_ms = 0
        self._some.reset()
        self._full.reset()
