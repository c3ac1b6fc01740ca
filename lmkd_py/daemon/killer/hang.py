"""Whether tasks of the domain wait in vain: a v1 memcg that is full, with the kernel's OOM killer switched off.

No trigger would ever fire again there. The event that told of it may have come while a victim was dying, or right
behind a wakeup that counted the last reclaim.
"""

from __future__ import annotations

from ...core.polling import POLL_LONG_MS, PollState
from ...core.vocabulary import ABSENT
from ...kernel.sensing.triggers import Trigger, oom_control


class Hang:
    """`index` and `level` of the trigger that tells of it, among those of the header; ABSENT: there is none."""

    def __init__(self, triggers: list[Trigger]) -> None:
        self.index = next((index for index, each in enumerate(triggers) if each.name == oom_control.V1), ABSENT)
        self.level = triggers[self.index].level if self.index >= 0 else ABSENT
        self.vain_offers = ABSENT  # what was offered when everybody might be struck and nobody was there
        self._trigger = triggers[self.index] if self.index >= 0 else None
        self._since_ms = ABSENT  # of the first of the looks in a row that found it
        self.is_there()  # the first read of a file allocates

    def is_there(self) -> bool:
        """Kill path. A task waits right now."""
        return self._trigger is not None and oom_control.hangs(self._trigger)

    def tells(self, index: int, poll: PollState) -> int:
        """Kill path. 1 if this trigger's event says so and it is true; a wakeup before it may have counted the reclaim.

        0 while a victim dies and right behind that: its memory comes back in parts, and each part wakes those who wait.
        """
        return 1 if index == self.index and not poll.holding and not poll.resumed and self.is_there() else 0

    def lasts(self, now_ms: int, offers: int) -> bool:
        """Kill path, at each poll: every look has found it for long enough, and somebody may be there to strike.

        Right behind a death one look says nothing: whoever waited has its memory, and may only not have run yet.
        """
        if not self.is_there():
            self.over()
            return False
        if self._since_ms < 0:
            self._since_ms = now_ms
        return now_ms - self._since_ms >= POLL_LONG_MS and offers != self.vain_offers

    def over(self) -> None:
        """Kill path. Somebody was struck, or nobody waits any more."""
        self._since_ms = self.vain_offers = ABSENT
