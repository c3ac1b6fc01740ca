"""One process's view of the shared words: the killer answers kicks; the steward arms, lists, reads strikes.

A constructor maps and may allocate; no method does. Words are stored whole, by one native 64-bit store.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import NamedTuple

from . import layout
from .order import AttachedProgram


class LoggedStrike(NamedTuple):
    """A kill by the BPF program, as its log holds it."""

    number: int
    at_ns: int  # CLOCK_MONOTONIC
    kick_ns: int  # the unanswered kick it followed
    pid: int
    adj: int
    start_ticks: int  # layout.START_UNKNOWN: this kernel does not show it
    rss_pages: int  # layout.RSS_UNKNOWN: its memory was gone already, or this kernel does not show it


def strikes_in(words: memoryview, log: mmap.mmap, since: int) -> list[LoggedStrike]:
    """Strikes number `since` and later, oldest first; of more than LOG_ROWS only the last are left."""
    end = words[layout.STRIKES]
    found = []
    for number in range(max(since, end - layout.LOG_ROWS), end):
        row = layout.LOG_ROW.unpack_from(log, number % layout.LOG_ROWS * layout.LOG_ROW.size)
        found.append(LoggedStrike(number, *row))
    return found


class ProgramCounters(NamedTuple):
    """The BPF program's counters since it was loaded."""

    armed: int
    events: int
    kicks: int
    strikes: int
    skipped: int
    busy: int
    lapsed_ns: int  # when the lease ran out; 0: never


class KillerGuard:
    """The killer's end: poll `ring_fd`, kick(), evaluate, answer() last."""

    def __init__(self, attached: AttachedProgram) -> None:
        self.ring_fd = attached.ring_fd
        self._guard = mmap.mmap(attached.guard_fd, layout.WORDS_BYTES)
        self.words = memoryview(self._guard).cast("Q")
        # A ring buffer's pages: the consumer's position, ours to write; the producer's, read-only.
        self._consumer = mmap.mmap(attached.ring_fd, mmap.PAGESIZE)
        self._producer = mmap.mmap(attached.ring_fd, mmap.PAGESIZE, prot=mmap.PROT_READ, offset=mmap.PAGESIZE)
        self._consumed = memoryview(self._consumer).cast("L")
        self._produced = memoryview(self._producer).cast("L")

    def kick(self) -> int:
        """The outstanding kick, 0 if there is none. Take it before evaluating."""
        kick = self.words[layout.KICK]
        return kick if kick > self.words[layout.ACK] else 0

    def free_pages(self) -> int:
        """What was free at the last reclaim event, CMA included; 0: the program looks at a cgroup, or none has come."""
        return self.words[layout.FREE_PAGES]

    def answer(self, kick: int) -> None:
        """This kick has been dealt with, also if nobody had to die. The ring is quiet until the next one.

        0: what woke us is forgotten (arm()) and does not come back.
        """
        words, produced = self.words, self._produced[0]
        answered = words[layout.ACK]
        if kick > answered:
            answered = kick
        # Where another has come since arm(), the ring stays readable: nobody would be woken to answer it.
        if words[layout.KICK] <= answered:
            self._consumed[0] = produced
        words[layout.ACK] = answered


class Guard(KillerGuard):
    """Both ends; the steward uses what is below, the killer what is above."""

    def __init__(self, attached: AttachedProgram) -> None:
        super().__init__(attached)
        self.variant = attached.variant
        self._rows = mmap.mmap(attached.rows_fd, layout.ROWS_BYTES)
        self.log = mmap.mmap(attached.log_fd, layout.LOG_BYTES, prot=mmap.PROT_READ)

    def arm(self, mode: int) -> None:
        """layout.KICK_ONLY or STRIKE; also after a lapsed lease, or for another killer.

        The time for an answer begins anew: a kick nobody has answered is forgotten, but still wakes the killer.
        """
        words = self.words
        words[layout.ARMED] = layout.OFF
        words[layout.ACK] = max(words[layout.KICK], words[layout.ACK])
        words[layout.LAPSED] = 0
        words[layout.ARMED] = mode

    def disarm(self) -> None:
        """From now on nothing is kicked or struck."""
        self.words[layout.ARMED] = layout.OFF

    def never(self, *tgids: int) -> None:
        """Whom no program strikes, at most NEVER_WORDS: the daemon itself and its parent."""
        for index in range(layout.NEVER_WORDS):
            self.words[layout.NEVER + index] = tgids[index] if index < len(tgids) else 0

    def close(self) -> None:
        """Unmap; the descriptors stay their owner's."""
        for view in (self.words, self._consumed, self._produced):
            view.release()
        for area in (self._guard, self._consumer, self._producer, self._rows, self.log):
            area.close()

    def set_word(self, word: int, value: int) -> None:
        """Change a limit (layout.LIMIT_EVENTS to ADJ_FLOOR)."""
        self.words[word] = value

    def publish(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Make (pid, adj, start_ticks), first to die first, the kill-list; more than LIST_ROWS are left out."""
        cursor = self.words[layout.CURSOR]
        half = cursor >> layout.CURSOR_HALF_SHIFT & 1 ^ 1
        place = half * layout.LIST_ROWS * layout.ROW.size
        for row in rows[: layout.LIST_ROWS]:
            layout.ROW.pack_into(self._rows, place, *row)
            place += layout.ROW.size
        if len(rows) < layout.LIST_ROWS:
            layout.ROW.pack_into(self._rows, place, 0, 0, 0)
        generation = (cursor >> layout.CURSOR_GENERATION_SHIFT) + 1
        self.words[layout.CURSOR] = generation << layout.CURSOR_GENERATION_SHIFT | half << layout.CURSOR_HALF_SHIFT

    def head(self) -> int:
        """Index of the row that would die next in the list published last."""
        return self.words[layout.CURSOR] & layout.CURSOR_INDEX_MASK

    def strikes(self, since: int) -> list[LoggedStrike]:
        """Strikes number `since` and later, oldest first; of more than LOG_ROWS only the last are left."""
        return strikes_in(self.words, self.log, since)

    def counters(self) -> ProgramCounters:
        """Read one word after the other, so they may be an event apart."""
        words = self.words
        return ProgramCounters(
            words[layout.ARMED],
            words[layout.EVENTS],
            words[layout.KICKS],
            words[layout.STRIKES],
            words[layout.SKIPPED],
            words[layout.BUSY],
            words[layout.LAPSED],
        )
