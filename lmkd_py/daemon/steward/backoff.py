"""When to try again what failed: after a second, then after twice as long each time, up to a minute."""

from __future__ import annotations

from time import monotonic

FIRST_S, LONGEST_S = 1.0, 60.0
NEVER = -1.0


class Backoff:
    """Idle until failed(); reset() when it worked."""

    def __init__(self) -> None:
        self.failures = 0
        self._due = 0.0

    def failed(self, wait_s: float = 0.0) -> None:
        """Once more; after wait_s where that is given, which does not count towards the longer waits."""
        if not wait_s:
            wait_s = min(FIRST_S * 2.0 ** min(self.failures, 16), LONGEST_S)
            self.failures += 1
        self._due = monotonic() + wait_s

    def reset(self) -> None:
        """Nothing is to be tried again."""
        self.failures = 0
        self._due = 0.0

    def is_due(self) -> bool:
        """Whether the wait is over."""
        return monotonic() >= self._due

    def left_s(self) -> float:
        """Seconds until is_due()."""
        return max(0.0, self._due - monotonic())
