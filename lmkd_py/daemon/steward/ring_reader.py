"""The steward's end of the ring, of its own killer or of an orphan it takes over from."""

from __future__ import annotations

from ...wire.record import RECORD_SIZE
from ..shared import RING_HEAD, RING_OFFSET, RING_TAIL, WORD_MASK, Shared


class RingReader:
    """Takes records in order. `lost` counts those the killer overwrote before they were taken."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.tail = shared.words[RING_TAIL]
        self.lost = 0

    def take(self) -> list[bytes]:
        """The bytes of all records published since the last call."""
        words, slots = self.shared.words, self.shared.ring_slots
        taken = []
        while self.tail != words[RING_HEAD]:
            behind = (words[RING_HEAD] - self.tail) & WORD_MASK
            if behind >= slots:  # the slot at the head is being rewritten
                self._skip(behind - slots + 1)
                continue
            offset = RING_OFFSET + (self.tail % slots) * RECORD_SIZE
            data = self.shared.map[offset : offset + RECORD_SIZE]
            if (words[RING_HEAD] - self.tail) & WORD_MASK >= slots:
                continue  # overwritten while it was copied
            taken.append(data)
            self.tail = (self.tail + 1) & WORD_MASK
        words[RING_TAIL] = self.tail
        return taken

    def _skip(self, count: int) -> None:
        self.lost += count
        self.tail = (self.tail + count) & WORD_MASK
