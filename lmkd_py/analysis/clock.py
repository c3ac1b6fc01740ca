"""When it was by the calendar: CLOCK_MONOTONIC to CLOCK_REALTIME, by the pairs of both that a trace has.

Each header has a pair, and so has each note of a step: somebody set the clock, or the machine slept, in which time
CLOCK_MONOTONIC stands still. A time is dated by the last pair before it. A board without a battery begins in 1970, or
when its image was made, until the network tells the time: such pairs are not good, and what is dated by them would be
wrong by years. Then the first good pair behind counts.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from ..core.vocabulary import NoteKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..wire.header import Header, Note

GOOD_NS = 1_735_689_600 * 10**9  # 2025-01-01: no daemon of this kind ran before


class Pair(NamedTuple):
    """Both clocks at one instant, ns."""

    monotonic_ns: int
    realtime_ns: int

    @property
    def is_good(self) -> bool:
        """Whether anybody had set the clock by then."""
        return self.realtime_ns >= GOOD_NS


class Clock:
    """Of one boot. Empty where all headers are lost."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._pairs = sorted(pairs)
        self._times = [pair.monotonic_ns for pair in self._pairs]
        # For each place among the pairs the one to date by: the last good one before it, else the first good one.
        first_good = next((pair for pair in self._pairs if pair.is_good), None)
        self._by: list[Pair] = []
        chosen = first_good
        for pair in self._pairs:
            chosen = pair if pair.is_good or first_good is None else chosen
            self._by.append(chosen or pair)

    def realtime_ns(self, monotonic_ns: int) -> int | None:
        """CLOCK_REALTIME at this CLOCK_MONOTONIC; None where nothing tells."""
        if not self._pairs:
            return None
        pair = self._by[max(0, bisect_right(self._times, monotonic_ns) - 1)]
        return pair.realtime_ns + monotonic_ns - pair.monotonic_ns


def clock_of(headers: Iterable[Header], notes: Iterable[Note]) -> Clock:
    """The clock of a trace of one boot."""
    pairs = [Pair(header.start_monotonic_ns, header.start_realtime_ns) for header in headers]
    pairs += [Pair(note.monotonic_ns, note.number) for note in notes if note.kind == NoteKind.CLOCK_SET]
    return Clock(pairs)
