"""The records of a trace, left in its files: read one at a time, walked through, or taken as columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..core.config import Config
from ..wire.frames import HEAD
from ..wire.header import Header
from .mapped import Data, Walk
from .runs import Run, Runs
from .traced import Traced

if TYPE_CHECKING:  # numpy takes longer to load than most traces to read: only columns need it
    from numpy.typing import NDArray

KEPT = 64  # decoded records, of those that were asked for by their index


class Records(Sequence[Traced]):
    """All records of a trace, oldest first. They stay in the files, so their number costs next to no memory.

    `records[3]` is a Traced, which is decoded once as long as it is among the last KEPT that were asked for;
    `records[3:5]` is a list of them. `records["snapshot.mem_free_kb"]` is a column, `array` holds all columns; these
    two load numpy.
    """

    def __init__(
        self,
        files: Sequence[tuple[Path, Data]],
        runs: Runs,
        headers: Sequence[Header],
        configs: Sequence[Config | None],
    ) -> None:
        self._files, self._runs, self._headers, self._configs = files, runs, headers, configs
        self._kept: dict[int, Traced] = {}

    def __len__(self) -> int:
        return self._runs.records

    @overload
    def __getitem__(self, key: int) -> Traced: ...
    @overload
    def __getitem__(self, key: slice) -> list[Traced]: ...
    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    def __getitem__(self, key: int | slice | str) -> Traced | list[Traced] | NDArray[Any]:
        """A record by its index, some by a slice, or a column by its path.

        Args:
            key: an index, negative ones from the end; a slice; or the names of nested fields joined by dots, such as
                "seq", "judgement.reason", "snapshot.candidates.rss_pages".

        Returns:
            For a path an array of its own: int64 of shape (records,), or (records, 8) below `snapshot.candidates`,
            whose rows beyond the last candidate are 0. A path that names a message gives a structured array. Units are
            those of the field's name; -1 (ABSENT) means that the killer had no such number.

        Raises:
            IndexError: no record has this index.
            KeyError: no field has this path.
        """
        if isinstance(key, str):
            return self._column(key)
        if isinstance(key, slice):
            return [self[index] for index in range(*key.indices(len(self)))]
        index = key + len(self) if key < 0 else key
        if not 0 <= index < len(self):
            raise IndexError(f"found record {key}, wanted less than {len(self)}")
        found = self._kept.get(index)
        if found is None:
            if len(self._kept) == KEPT:
                self._kept.clear()
            found = self._kept[index] = self._traced(self._runs.run_of(index), index)
        return found

    def __iter__(self) -> Iterator[Traced]:
        """One after the other; none is kept, nor are the pages they lie on."""
        for file, runs in groupby(self._runs, key=lambda run: run.file):
            walk, at = Walk(self._files[file][1]), 0
            for run in runs:
                for index in range(run.first, run.first + run.length):
                    traced = self._traced(run, index)
                    yield traced
                    at = traced.offset + run.frame_bytes
                    walk.passed(at)
            walk.end(at)

    def following(self, index: int) -> Iterator[Traced]:
        """The records behind this one that the same killer wrote, in order."""
        return (self[later] for later in self._runs.following(index))

    @property
    def array(self) -> NDArray[Any]:
        """All records as one structured array.

        Returns:
            Shape (records,), fields as those of `wire.record.Record`, nested alike: `array["snapshot"]["mem_free_kb"]`.
            Where all records lie back to back in one file, each with candidates, it is a read-only view of that file;
            otherwise a copy.
        """
        from .columns import RECORD

        views = self._views()
        return views[0] if len(views) == 1 and views[0].dtype == RECORD else self._column("")

    def _column(self, path: str) -> NDArray[Any]:
        from .columns import gathered

        found = gathered(self._views(), path)
        for _, data in self._files:
            Walk(data).end(len(data))
        return found

    def _views(self) -> list[NDArray[Any]]:
        from .columns import view

        return [view(self._files[run.file][1], run.offset + HEAD.size, run.length, run.short) for run in self._runs]

    def _traced(self, run: Run, index: int) -> Traced:
        header = self._header_of(run)
        nth = index - run.first
        path, data = self._files[run.file]
        return Traced(
            index,
            run.seq + nth,
            run.killer_pid,
            path,
            run.offset + nth * run.frame_bytes,
            None if header is None else self._headers[header],
            None if header is None else self._configs[header],
            data,
        )

    def _header_of(self, run: Run) -> int | None:
        """The last header before the run that speaks of its killer and config; else the first one behind it."""
        same = self._headers_of.get((run.killer_pid, run.generation))
        return same[max(bisect_left(same, run.headers) - 1, 0)] if same else None

    @cached_property
    def _headers_of(self) -> dict[tuple[int, int], list[int]]:
        found: dict[tuple[int, int], list[int]] = {}
        for nth, header in enumerate(self._headers):
            found.setdefault((header.killer_pid, header.config_generation), []).append(nth)
        return found


class Selection(Sequence[Traced]):
    """Some of the records: `kills[0]` is the first of them. `indexes` are theirs in Trace.records."""

    def __init__(self, records: Records, indexes: Sequence[int]) -> None:
        self._records = records
        self.indexes = indexes

    def __len__(self) -> int:
        return len(self.indexes)

    @overload
    def __getitem__(self, key: int) -> Traced: ...
    @overload
    def __getitem__(self, key: slice) -> list[Traced]: ...
    def __getitem__(self, key: int | slice) -> Traced | list[Traced]:
        """One of them by its place, or some by a slice. IndexError: there are not so many."""
        if isinstance(key, slice):
            return [self._records[index] for index in self.indexes[key]]
        return self._records[self.indexes[key]]
