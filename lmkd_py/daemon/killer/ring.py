"""Writes records into shared memory; a slow steward never stops the killer, it loses records, those of kills last."""

from __future__ import annotations

import os
import struct

from ...wire.record import RECORD_SIZE, Record, pack_record_into
from ..shared import RING_HEAD, RING_OFFSET, RING_TAIL, SKIPPED, STRIKING_PID, WORD_MASK, Shared

ONE = struct.pack("=Q", 1)
NOTIFY_AT = 32  # records the steward may lie behind before it is woken without a kill


class Ring:
    """The writing end. `head` counts all records that this killer has written, `skipped` those it had no room for."""

    def __init__(self, shared: Shared, notify_fd: int) -> None:
        self.shared = shared
        self.notify_fd = notify_fd
        self.head = 0
        self.skipped = 0
        # For records without a kill; those with one have the last quarter for themselves. On an emulated board the
        # steward was up to 160 of 256 records behind.
        self._room = shared.ring_slots - shared.ring_slots // 4

    @property
    def seq(self) -> int:
        """Number of the next record; who reads them sees a gap where some were skipped."""
        return self.head + self.skipped

    def write(self, record: Record) -> None:
        """Kill path. Fill the next slot and publish it, unless it tells of no kill and the steward is far behind."""
        if record.outcome.pid <= 0 and self.backlog() >= self._room:
            self.skipped += 1
            self.shared.words[SKIPPED] = self.skipped & WORD_MASK
            return
        self.rehearse(record)
        self.head += 1
        self.shared.words[RING_HEAD] = self.head & WORD_MASK

    def rehearse(self, record: Record) -> None:
        """Fill the next slot without publishing it (the dry run)."""
        pack_record_into(self.shared.map, RING_OFFSET + (self.head % self.shared.ring_slots) * RECORD_SIZE, record)

    def rewind(self) -> None:
        """Nothing was ever written (after the dry run, before anybody reads)."""
        self.head = self.skipped = 0
        self.shared.words[RING_HEAD] = self.shared.words[SKIPPED] = self.shared.words[STRIKING_PID] = 0
        self.shared.map[RING_OFFSET : RING_OFFSET + RECORD_SIZE] = bytes(
            RECORD_SIZE
        )  # some look at the slots themselves

    def backlog(self) -> int:
        """How many records the steward has not taken yet."""
        return (self.head - self.shared.words[RING_TAIL]) & WORD_MASK

    def notify(self) -> None:
        """Wake the steward; an eventfd write allocates nothing."""
        os.write(self.notify_fd, ONE)
