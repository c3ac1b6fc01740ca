"""Read a trace as it lies on disk. Damage and gaps are told, never raised."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from ..wire import frames
from ..wire.message import MessageError
from ..wire.record import RecordError
from .contents import Gap, Loss, Trace
from .intake import Intake
from .mapped import Data, Walk, bytes_of
from .records import Records, Selection
from .runs import Runs
from .traced import Traced

__all__ = ["SUFFIX", "Gap", "Loss", "Trace", "TraceError", "TraceReader", "Traced", "read_trace"]

SUFFIX = ".lmkt"
_NAME = re.compile(rf"[0-9]+\{SUFFIX}")


class TraceError(ValueError):
    """A path that holds no trace: which, what was found, what was wanted."""


def read_trace(path: Path | str) -> Trace:
    """Read a trace. Each frame is read and checked once; the records stay in their files.

    The files may grow or be removed while the trace is in use, but not be cut short: they are mapped.

    Args:
        path: a trace file, or a directory `<root>/traces/<boot id>`: all its files in the order of their numbers.

    Returns:
        What the files hold. Damage and missing records are told in it (`losses`, `gaps`), never raised.

    Raises:
        TraceError: a directory without trace files, files of a former format or without one whole frame. Beside newer
            files, one of a former format is a loss.
        OSError: from the file system.
    """
    return TraceReader(path).read()


@dataclass(slots=True)
class _File:
    """A file of the trace, as far as it was read."""

    path: Path
    data: Data = b""
    inode: tuple[int, int] = (0, 0)  # with its device
    at: int = 0  # end of its last whole frame
    losses: list[Loss] = field(default_factory=list)
    tail: Loss | None = None  # the loss it ends with: what is appended may make it whole

    def all_losses(self) -> tuple[Loss, ...]:
        """What it holds that is no whole frame, in order."""
        return (*self.losses, self.tail) if self.tail else tuple(self.losses)

    def has_grown(self) -> bool | None:
        """Whether there is more to read; None where what was read is there no longer."""
        found = os.stat(self.path)
        if (found.st_dev, found.st_ino) != self.inode or found.st_size < len(self.data):
            return None
        return found.st_size > len(self.data)


class TraceReader:
    """Reads a trace that may grow meanwhile: each read() takes in only what was appended since the last."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._files: list[_File] = []
        self._intake = Intake()

    def read(self) -> Trace:
        """The trace as it is now; indexes of records are those of the last time. Raises as read_trace() does.

        Where a file was removed or another took its place, all is read anew, and indexes change.
        """
        paths = _files_of(self._path)
        if not self._goes_on(paths):
            self._files, self._intake = [], Intake()
        if self._files and self._files[-1].has_grown():
            self._read(len(self._files) - 1)
        for path in paths[len(self._files) :]:
            self._files.append(_File(path))
            self._read(len(self._files) - 1)
        if self._intake.is_empty():
            for loss in chain.from_iterable(file.all_losses() for file in self._files):
                if loss.why in frames.FORMER:
                    raise TraceError(f"{self._path}: found {loss.why}")
            size = sum(len(file.data) for file in self._files)
            raise TraceError(f"{self._path}: found {size} bytes without one whole frame, wanted a trace")
        return self._trace()

    def _goes_on(self, paths: tuple[Path, ...]) -> bool:
        """Whether these are the files that were read, more behind them, and of the old ones only the last has grown."""
        known = self._files
        if tuple(file.path for file in known) != paths[: len(known)]:
            return False
        grown = [file.has_grown() for file in known]
        return None not in grown and not any(grown[:-1])

    def _read(self, number: int) -> None:
        file = self._files[number]
        file.data, file.inode = bytes_of(file.path)
        file.tail = None
        walk = Walk(file.data, file.at)
        for part in frames.read_frames(file.data, file.at):
            walk.passed(part.offset)
            if isinstance(part, frames.Lost):
                loss = Loss(file.path, part.offset, part.length, part.why)
                if part.offset + part.length == len(file.data):
                    file.tail = loss
                else:
                    file.losses.append(loss)
                continue
            try:
                self._intake.take(part, number)
            except (MessageError, RecordError) as error:
                file.losses.append(Loss(file.path, part.offset, part.end - part.offset, str(error)))
            file.at = part.end
        walk.end(len(file.data))

    def _trace(self) -> Trace:
        found, files = self._intake, self._files
        headers = tuple(found.headers)
        places = tuple((file.path, file.data) for file in files)
        records = Records(places, Runs(tuple(found.runs)), headers, tuple(found.configs))
        losses = chain.from_iterable(file.all_losses() for file in files)
        return Trace(
            files=tuple(file.path for file in files),
            headers=headers,
            records=records,
            kills=Selection(records, tuple(found.kills)),
            processes=dict(found.processes),
            notes=tuple(found.notes),
            losses=tuple(losses),
            gaps=tuple(found.gaps),
            repeated=found.repeated,
            strikes=tuple(sorted(found.strikes.values(), key=lambda strike: strike.monotonic_ns)),
        )


def _files_of(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,)
    numbered = (file for file in path.iterdir() if _NAME.fullmatch(file.name) and file.is_file())
    files = tuple(sorted(numbered, key=lambda file: int(file.stem)))
    if not files:
        raise TraceError(f"{path}: found a directory without NNNN{SUFFIX}, wanted the traces of one boot")
    return files
