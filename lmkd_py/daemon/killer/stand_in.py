"""What stands in for triggers that broke while armed: one sample of the domain a second.

The armed killer opens nothing, so it cannot arm them again: it tells the steward, which forks another killer once they
can be had (steward/lost_triggers.py).
"""

from __future__ import annotations

from ..shared import BROKEN, STAND_IN, TRIGGERS

SAMPLE_MS = 1000


class StandIn:
    """Kill path. Everything is in the control words; `due_ms` is when the next sample is due."""

    def __init__(self, words: memoryview, armed: int) -> None:
        """armed: bits of the killer's triggers."""
        self.words = words
        words[TRIGGERS] = armed
        self.due_ms = 0

    def lose(self, bit: int) -> None:
        """The trigger with this bit has broken."""
        self.words[BROKEN] |= bit

    def wait_ms(self, timeout_ms: int, now_ms: int) -> int:
        """How long the loop may sleep, which may for ever (-1) without us."""
        if timeout_ms >= 0 or not (self.words[BROKEN] or self.words[STAND_IN]):
            return timeout_ms
        return max(0, min(self.due_ms - now_ms, SAMPLE_MS))

    def take_due(self, now_ms: int) -> bool:
        """Whether a sample is due; the next one is a second later."""
        if now_ms < self.due_ms or not (self.words[BROKEN] or self.words[STAND_IN]):
            return False
        self.due_ms = now_ms + SAMPLE_MS
        return True
