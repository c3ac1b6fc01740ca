"""Looks over the killer's shoulder: its ring of records, mapped read-only through /proc. It takes nothing away."""

from __future__ import annotations

import mmap
import os
import time

from ..wire.control import Reply
from ..wire.record import Record, RecordError, unpack_record
from .errors import SandboxError


class RingWatch:
    """Records of one killer in order, while it runs. Needs the right to open its memory: root, or the same user."""

    def __init__(self, reply: Reply) -> None:
        path = f"/proc/{reply.killer_pid}/fd/{reply.ring_fd}"
        self._offset, self._slots, self._size = reply.ring_offset, reply.ring_slots, reply.record_bytes
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._ring = mmap.mmap(fd, self._offset + self._slots * self._size, prot=mmap.PROT_READ)
            finally:
                os.close(fd)
        except (OSError, ValueError) as error:
            raise SandboxError(f"the killer's ring {path} cannot be mapped: {error}; run as root") from error
        self._killer_pid = reply.killer_pid
        self._next = 0
        self.lost = 0  # records that were overwritten before they were looked at

    def _look(self, slot: int) -> Record | None:
        at = self._offset + slot * self._size
        try:
            return unpack_record(self._ring[at : at + self._size])
        except RecordError:
            return None  # a slot that was never written

    def take(self) -> list[Record]:
        """What was written since the last call."""
        found: list[Record] = []
        while True:
            slot = self._next % self._slots
            record = self._look(slot)
            if record is None or record.killer_pid != self._killer_pid or record.seq < self._next:
                return found
            # The killer publishes a slot by a word that is its own business. We look twice instead: filling a slot
            # takes it some microseconds, and a record that has not changed for 2 ms is whole.
            time.sleep(0.002)
            if self._look(slot) != record:
                continue
            if record.seq > self._next:
                self.lost += record.seq - self._next
                self._next = record.seq
            found.append(record)
            self._next += 1

    def close(self) -> None:
        """Unmap it."""
        self._ring.close()
