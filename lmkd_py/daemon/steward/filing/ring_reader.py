"""The steward's end of the ring, of its own killer or of an orphan it takes over from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....wire.record import RECORD_SIZE
from ...shared import RING_HEAD, RING_OFFSET, RING_TAIL, WORD_MASK, Shared

if TYPE_CHECKING:  # at run time it would cost the module
    from collections.abc import Iterator


class RingReader:
    """Takes records in order. `lost` counts those the killer overwrote before they were taken.

    `foreign`: a killer of another version has laid out the ring otherwise, and all that it holds is lost.
    What was taken and not settled, a later steward takes again.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.tail = shared.words[RING_TAIL]
        self.filed = -1  # number of the last record that is safe elsewhere
        self.lost = 0
        self.foreign = not shared.has_our_records()

    def is_empty(self) -> bool:
        """True when all that was published has been taken."""
        return self.shared.words[RING_HEAD] == self.tail or (
            self.filed == self.tail and self.shared.words[RING_HEAD] == (self.tail + 1) & WORD_MASK
        )

    def take(self) -> Iterator[bytes]:
        """The bytes of each record published by now; who asks for the next has taken the last.

        Who may break off in between says `filed = tail` as soon as a record is safe, and gets only what was not.
        """
        words, slots = self.shared.words, self.shared.ring_slots
        while True:
            if self.filed == self.tail:
                self._forward(1)
            behind = (words[RING_HEAD] - self.tail) & WORD_MASK
            if not behind:
                return
            if self.foreign:
                self.lost += behind
                self._forward(behind)
                return
            if behind >= slots:  # the slot at the head is being rewritten
                self.lost += behind - slots + 1
                self._forward(behind - slots + 1)
                continue
            offset = RING_OFFSET + (self.tail % slots) * RECORD_SIZE
            data = self.shared.map[offset : offset + RECORD_SIZE]
            if (words[RING_HEAD] - self.tail) & WORD_MASK >= slots:
                continue  # overwritten while it was copied
            yield data
            self.filed = self.tail

    def settle(self) -> None:
        """All that was filed is on its way to the disk: a later steward goes on behind it."""
        if self.filed == self.tail:
            self._forward(1)
        self.shared.words[RING_TAIL] = self.tail

    def _forward(self, count: int) -> None:
        self.tail = (self.tail + count) & WORD_MASK
