"""Where the records of a trace lie: in runs, which are few, so that a long trace needs little memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from .packed import FRAME_BYTES, SHORT_FRAME_BYTES


class Run(NamedTuple):
    """Records of one length back to back in one file, of one killer and config generation, `seq` without a gap."""

    first: int  # index of the first of them in Trace.records
    length: int
    file: int  # which of the trace's files
    offset: int  # of the first frame
    seq: int  # of the first record
    killer_pid: int
    generation: int
    headers: int  # how many of the trace's headers stand before it
    short: bool  # they have no candidate rows

    def goes_on(self, file: int, offset: int, seq: int, killer_pid: int, generation: int, short: bool) -> bool:
        """Whether this is the next record of the run."""
        return (
            offset == self.offset + self.length * self.frame_bytes
            and seq == self.seq + self.length
            and (file, killer_pid, generation, short) == (self.file, self.killer_pid, self.generation, self.short)
        )

    @property
    def frame_bytes(self) -> int:
        """Of each record, its frame's head included."""
        return SHORT_FRAME_BYTES if self.short else FRAME_BYTES


class Runs:
    """The runs of a trace in the order of its records, found by the index of a record."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    @property
    def records(self) -> int:
        """Number of records in all runs."""
        return self._runs[-1].first + self._runs[-1].length if self._runs else 0

    def run_of(self, index: int) -> Run:
        """The run of the record with this index in the trace."""
        return self._runs[self._nth_of(index)]

    def following(self, index: int) -> Iterator[int]:
        """Indexes of the records behind this one that the same killer wrote, in order."""
        nth = self._nth_of(index)
        run = self._runs[nth]
        yield from range(index + 1, run.first + run.length)
        same = self._of_killer[run.killer_pid]
        for place in range(bisect_right(same, nth), len(same)):
            run = self._runs[same[place]]
            yield from range(run.first, run.first + run.length)

    def _nth_of(self, index: int) -> int:
        return bisect_right(self._firsts, index) - 1

    @cached_property
    def _firsts(self) -> list[int]:
        return [run.first for run in self._runs]

    @cached_property
    def _of_killer(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for nth, run in enumerate(self._runs):
            found.setdefault(run.killer_pid, []).append(nth)
        return found
