"""Stall inside a sliding window, from PSI totals read by ourselves.

It stands in for privileged PSI triggers, and it tells whether an event of the kernel is true: the first event of an
unprivileged trigger compares with the wrong counter and comes with the first stall of any length, and totals jump
(core.growth).
"""

from __future__ import annotations

from array import array

from ....core.growth import growth
from ....core.numbers import CRITICAL_LEVEL, MEDIUM_LEVEL
from ....core.vocabulary import ABSENT

_SAMPLES = 64
PACE_MS = 50  # least time between two samples; more where a window would not fit into so many


class _Line:
    """One of the two lines, some or full: its samples and when it last spoke.

    Samples hold what the total has really grown to, not the total itself.
    """

    def __init__(self, window_ms: int, stall_ms: int, span_ms: int, pace_ms: int) -> None:
        self._window_ms = window_ms
        self._span_ms = span_ms
        self._stall_us = stall_ms * 1000
        self._pace_ms = pace_ms
        # Arrays: numbers kept in lists would take pages after arming, as they come.
        self._times = array("q", [0]) * _SAMPLES
        self._grown = array("q", [0]) * _SAMPLES
        self.reset()

    def reset(self) -> None:
        self._first = self._count = 0
        self._now_ms = self._clean_us = 0
        self._total_us = ABSENT
        self._quiet_until_ms = ABSENT

    def note(self, now_ms: int, total_us: int) -> None:
        """Take in a reading of the total. The sample is kept if the last one is old enough.

        After a long pause no more is believed than at_most_us() believes: what it has just taken for a jump must not
        bear out the event of another trigger a moment later.
        """
        if total_us < 0:
            return
        if self._total_us >= 0:
            self._clean_us += growth(total_us, self._total_us, min(now_ms - self._now_ms, 2 * self._span_ms))
        self._now_ms, self._total_us = now_ms, total_us
        times, first, count = self._times, self._first, self._count
        if count and now_ms - times[(first + count - 1) % _SAMPLES] < self._pace_ms:
            return
        # The newest sample before the longest window is kept, and none that is older.
        while count == _SAMPLES or (count > 1 and now_ms - times[(first + 1) % _SAMPLES] >= self._span_ms):
            first = (first + 1) % _SAMPLES
            count -= 1
        last = (first + count) % _SAMPLES
        self._first = first
        times[last], self._grown[last] = now_ms, self._clean_us
        self._count = count + 1

    def at_least_us(self, now_ms: int, total_us: int, window_ms: int) -> int:
        """Stall that certainly lies inside the window: since the oldest sample that does. `total_us`: now."""
        times, first = self._times, self._first
        for step in range(self._count):
            at = (first + step) % _SAMPLES
            if now_ms - times[at] <= window_ms:
                fresh_us = growth(total_us, self._total_us, now_ms - self._now_ms)
                return self._clean_us + fresh_us - self._grown[at]
        return 0

    def at_most_us(self, now_ms: int, total_us: int, window_ms: int) -> int:
        """Stall that can lie inside the window: since the newest sample before it; ABSENT without any.

        Of what came after a reading that is older than two windows nobody knows when it came, and the kernel looks at
        less than two: more than they hold is not counted.
        """
        if self._total_us < 0 or total_us < 0 or not self._count:
            return ABSENT
        dt_ms = now_ms - self._now_ms
        fresh_us = growth(total_us, self._total_us, dt_ms if dt_ms < 2 * window_ms else 2 * window_ms)
        times, first = self._times, self._first
        base = first
        for step in range(1, self._count):
            at = (first + step) % _SAMPLES
            if now_ms - times[at] < window_ms:
                break
            base = at
        return self._clean_us + fresh_us - self._grown[base]

    def speaks(self, now_ms: int, total_us: int) -> bool:
        """After note(): did the stall of the last window reach the threshold? Told once a window."""
        if self._stall_us <= 0 or total_us < 0 or now_ms < self._quiet_until_ms:
            return False
        if self.at_least_us(now_ms, total_us, self._window_ms) < self._stall_us:
            return False
        self._quiet_until_ms = now_ms + self._window_ms
        return True


class StallMeter:
    """Tells when the stall of the last `window_ms` reached a threshold. Pure, no clock.

    Like the kernel's triggers it speaks at most once a window and level. A threshold of 0 is off. Of totals that come
    faster than at its pace most are not looked at by update(): most kills do not wait for it, and no window is cut
    short. `span_ms`: the longest window that is asked for elsewhere, if that is longer.
    """

    def __init__(self, window_ms: int, some_stall_ms: int, full_stall_ms: int, span_ms: int = 0) -> None:
        span_ms = max(window_ms, span_ms)
        self.pace_ms = max(PACE_MS, -(-span_ms // (_SAMPLES - 2)))
        self._window_ms = window_ms
        self._thresholds_us = (ABSENT, some_stall_ms * 1000, full_stall_ms * 1000)  # by Level
        self._due_ms = 0
        self._some = _Line(window_ms, some_stall_ms, span_ms, self.pace_ms)
        self._full = _Line(window_ms, full_stall_ms, span_ms, self.pace_ms)
        self._base = (0, ABSENT, ABSENT)

    def begin(self, now_ms: int, some_total_us: int, full_total_us: int) -> None:
        """Start-up: the totals when the triggers were armed."""
        self._base = (now_ms, some_total_us, full_total_us)
        self.restart()

    def restart(self) -> None:
        """Forget all but the totals of begin()."""
        self.reset()
        self.note(*self._base)

    def note(self, now_ms: int, some_total_us: int, full_total_us: int) -> None:
        """Take in totals without an answer. They may be ABSENT; the first are only a base."""
        self._some.note(now_ms, some_total_us)
        self._full.note(now_ms, full_total_us)

    def update(self, now_ms: int, some_total_us: int, full_total_us: int) -> int:
        """note(), and Level.CRITICAL (full), Level.MEDIUM (some) or ABSENT."""
        self.note(now_ms, some_total_us, full_total_us)
        if now_ms < self._due_ms:
            return ABSENT
        self._due_ms = now_ms + self.pace_ms
        some = self._some.speaks(now_ms, some_total_us)
        if self._full.speaks(now_ms, full_total_us):
            return CRITICAL_LEVEL
        return MEDIUM_LEVEL if some else ABSENT

    def measured(self, level: int, now_ms: int, total_us: int) -> tuple[int, int]:
        """(stall, threshold) in us behind what update() has just said of `level`, whose total is `total_us`."""
        line = self._full if level == CRITICAL_LEVEL else self._some
        return line.at_least_us(now_ms, total_us, self._window_ms), self._thresholds_us[level]

    def check(self, level: int, now_ms: int, total_us: int, stall_us: int, window_ms: int) -> tuple[int, int]:
        """(stall, threshold) in us behind an event of the kernel's trigger `stall_us` in `window_ms`; before note().

        The event is true where the trigger's own window can hold the stall, or where the configured one certainly does:
        without CAP_SYS_RESOURCE the trigger's window is longer. (ABSENT, ABSENT): nobody can tell.
        """
        line = self._full if level == CRITICAL_LEVEL else self._some
        found_us = line.at_most_us(now_ms, total_us, window_ms)
        if found_us < 0:
            return ABSENT, ABSENT
        wanted_us = self._thresholds_us[level]
        if found_us < stall_us and 0 < wanted_us < stall_us:
            certain_us = line.at_least_us(now_ms, total_us, self._window_ms)
            if certain_us >= wanted_us:
                return certain_us, wanted_us
        return found_us, stall_us

    def reset(self) -> None:
        """Forget all samples."""
        self._due_ms = 0
        self._some.reset()
        self._full.reset()
