"""Writes records into shared memory; a slow steward never stops the killer, it loses records, those of kills last.

Most wakeups under pressure strike nobody: polls, and kicks up to 40 times a second. They need no record each: one in
half a second has one, and the next record sums up those that were left out. That is no loss, and `seq` does not count
them. The first by each trigger since somebody polls is recorded. While kills are held back, each wakeup comes to the
same verdict; the first one of a pause is recorded.
"""

from __future__ import annotations

import os
import struct

from ...core.numbers import BAIL, HELD, IGNORED, NOTHING
from ...core.vocabulary import ABSENT
from ...wire.record import NONE_LEFT_OUT, RECORD_SIZE, LeftOut, Record, pack_record_into
from ..shared import RING_HEAD, RING_OFFSET, RING_TAIL, SKIPPED, STRIKING_PID, WORD_MASK, Shared

ONE = struct.pack("=Q", 1)
NOTIFY_MS = 1000  # while wakeups go on the steward looks so often what is going on, without a kill
HERALD_MS = 1000  # the steward hears no more often that pressure begins: a lone kick may be followed by many
RECORD_MS = 500  # each stretch of so much of CLOCK_MONOTONIC that has a wakeup has the record of one


class Ring:
    """The writing end. `head` counts all records that this killer has written, `skipped` those it had no room for.

    trace_every: of wakeups that strike nobody each one in so many has a record at least; 1: all have. heralds: the
    steward is to hear at once that somebody is woken after nobody polled.
    """

    def __init__(self, shared: Shared, notify_fd: int, trace_every: int = 1, heralds: bool = False) -> None:
        self.shared = shared
        self.notify_fd = notify_fd
        self.trace_every = trace_every
        self.heralds = heralds
        self._heralded_ms = -HERALD_MS
        self.head = 0
        self.skipped = 0
        self._unheard_ms = ABSENT  # of the first wakeup since the steward was last woken
        self._kept: Record | None = None  # the last wakeup, if it was left out
        self._quiet = 0  # wakeups left out since a record was published or found no room
        self._untold = NONE_LEFT_OUT  # what a record that found no room had to say of those before it
        self._recorded_in = -1  # the stretch of RECORD_MS that has a record
        self._told = 0  # triggers, a bit each, and the poll timer, that have a record since somebody polls
        self._held_ms = self._wait_ms = ABSENT  # ends of the pause, of either kind, that has a record
        # For records without a kill; those with one have the last quarter for themselves. On an emulated board the
        # steward was up to 160 of 256 records behind.
        self._room = shared.ring_slots - shared.ring_slots // 4

    @property
    def seq(self) -> int:
        """Number of the next record; who reads them sees a gap where some were skipped."""
        return self.head + self.skipped

    def left_out(self) -> LeftOut:
        """Kill path. What the next record has to say of the wakeups that were left out since the last one."""
        return self._untold if self._kept is None else with_another(self._kept)

    def write(self, record: Record) -> None:
        """Kill path. Fill the next slot and publish it, or leave the record out.

        One that tells of no kill is lost where the steward is far behind.
        """
        if self._unheard_ms < 0:
            self._unheard_ms = record.snapshot.now_ms
        stretch = record.snapshot.now_ms // RECORD_MS
        by = 1 << (record.trigger - ABSENT)
        is_new = stretch != self._recorded_in or not self._told & by
        if not is_new and self._quiet + 1 < self.trace_every and self._says_nothing(record):
            self._kept = record
            self._quiet += 1
            return
        begins = self.heralds and not self._told and record.snapshot.now_ms - self._heralded_ms >= HERALD_MS
        self._recorded_in = stretch
        self._told |= by
        self._publish(record)
        if begins:
            self._heralded_ms = record.snapshot.now_ms
            self.notify()

    def settle(self) -> None:
        """Kill path. Nobody polls any more: the last wakeup gets its record, and the steward files what it has not."""
        if self._kept is not None:
            self._publish(self._kept)
        self._told = 0
        if self.backlog():
            self.notify()

    def _publish(self, record: Record) -> None:
        self._kept, self._quiet = None, 0
        if record.outcome.pid <= 0 and self.backlog() >= self._room:
            self._untold = record.left_out
            self.skipped += 1
            self.shared.words[SKIPPED] = self.skipped & WORD_MASK
            return
        self._untold = NONE_LEFT_OUT
        self._pack(record)
        self.head += 1
        self.shared.words[RING_HEAD] = self.head & WORD_MASK

    def _says_nothing(self, record: Record) -> bool:
        # It struck nobody, and the record has nothing that a later one could not tell. The first wakeup after a strike
        # shows its effect, and what became of a victim is told once.
        action, state = record.judgement.action, record.judgement.state
        if action == HELD:
            decided = state.held_until_ms != self._held_ms or state.stall_wait_until_ms != self._wait_ms
        else:
            decided = action not in (NOTHING, BAIL, IGNORED)
        return not decided and record.snapshot.outcome.pid <= 0 and record.aftermath.pid <= 0

    def _pack(self, record: Record) -> None:
        if record.judgement.action == HELD:
            state = record.judgement.state
            self._held_ms, self._wait_ms = state.held_until_ms, state.stall_wait_until_ms
        pack_record_into(self.shared.map, RING_OFFSET + (self.head % self.shared.ring_slots) * RECORD_SIZE, record)

    def rehearse(self, record: Record) -> None:
        """All that can become of a record, except that it is published; it stays left out (the dry run)."""
        self._pack(record)
        room, self._room = self._room, 0
        heralds, self.heralds, self._told = self.heralds, True, 0
        self.write(record)
        self.write(record)  # the same again is left out
        self.settle()
        self.is_due(record.snapshot.now_ms)
        self._room, self.heralds = room, heralds
        self.skipped = self.shared.words[SKIPPED] = 0  # who dies in the dry run has lost nothing
        self._kept = record

    def rewind(self) -> None:
        """Nothing was ever written (after the dry run, before anybody reads)."""
        self.head = self.skipped = 0
        self._unheard_ms = ABSENT
        self._kept, self._quiet, self._untold = None, 0, NONE_LEFT_OUT
        self._recorded_in, self._told, self._heralded_ms = -1, 0, -HERALD_MS
        self._held_ms = self._wait_ms = ABSENT
        self.shared.words[RING_HEAD] = self.shared.words[SKIPPED] = self.shared.words[STRIKING_PID] = 0
        self.shared.map[RING_OFFSET : RING_OFFSET + RECORD_SIZE] = bytes(
            RECORD_SIZE
        )  # some look at the slots themselves

    def backlog(self) -> int:
        """How many records the steward has not taken yet."""
        return (self.head - self.shared.words[RING_TAIL]) & WORD_MASK

    def is_due(self, now_ms: int) -> bool:
        """Kill path. Is the steward to be woken though nobody was struck? Its work takes CPU from those who wait."""
        if self.backlog() >= self._room // 2:
            return True
        return self._unheard_ms >= 0 and now_ms - self._unheard_ms >= NOTIFY_MS

    def notify(self) -> None:
        """Wake the steward; an eventfd write allocates nothing."""
        self._unheard_ms = ABSENT
        os.write(self.notify_fd, ONE)


def with_another(record: Record) -> LeftOut:
    """Kill path. Those left out before `record`, and `record` itself."""
    before, seen = record.left_out, record.snapshot
    now_ms, free_kb = seen.now_ms, seen.mem_free_kb
    some, full = seen.psi_mem_some_avg10_centi_pct, seen.psi_mem_full_avg10_centi_pct
    if before.wakeups == 0:
        return LeftOut(1, now_ms, now_ms, free_kb, some, full)
    return LeftOut(
        before.wakeups + 1,
        before.first_ms,
        now_ms,
        min(before.min_free_kb, free_kb),
        max(before.max_psi_some_centi_pct, some),
        max(before.max_psi_full_centi_pct, full),
    )
