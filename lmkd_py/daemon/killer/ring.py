"""Writes records into shared memory; a slow steward never stops the killer, it only loses the oldest records."""

from __future__ import annotations

import os
import struct

from ...wire.record import RECORD_SIZE, Record, pack_record_into
from ..shared import RING_HEAD, RING_OFFSET, RING_TAIL, WORD_MASK, Shared

ONE = struct.pack("=Q", 1)
NOTIFY_AT = 32  # records the steward may lie behind before it is woken without a kill


class Ring:
    """The writing end. `head` counts all records ever written by this killer, and is the next one's seq."""

    def __init__(self, shared: Shared, notify_fd: int) -> None:
        self.shared = shared
        self.notify_fd = notify_fd
        self.head = 0

    def write(self, record: Record) -> None:
        """Fill the next slot and publish it."""
        self.rehearse(record)
        self.head += 1
        self.shared.words[RING_HEAD] = self.head & WORD_MASK

    def rehearse(self, record: Record) -> None:
        """Fill the next slot without publishing it (the dry run)."""
        pack_record_into(self.shared.map, RING_OFFSET + (self.head % self.shared.ring_slots) * RECORD_SIZE, record)

    def rewind(self) -> None:
        """Nothing was ever written (after the dry run, before anybody reads)."""
        self.head = 0
        self.shared.words[RING_HEAD] = 0
        self.shared.map[RING_OFFSET : RING_OFFSET + RECORD_SIZE] = bytes(
            RECORD_SIZE
        )  # some look at the slots themselves

    def backlog(self) -> int:
        """Records the steward has not taken yet."""
        return (self.head - self.shared.words[RING_TAIL]) & WORD_MASK

    def notify(self) -> None:
        """Wake the steward; an eventfd write allocates nothing."""
        os.write(self.notify_fd, ONE)
