"""Read a trace as it lies on disk. Damage and gaps are told, never raised."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..core.config import Config, ConfigError
from ..wire import frames
from ..wire.config import decode_config
from ..wire.header import (
    FORMAT,
    Header,
    Note,
    Process,
    Strike,
    decode_header,
    decode_note,
    decode_process,
    decode_strike,
)
from ..wire.message import MessageError
from ..wire.record import RECORD_SIZE, RecordError, unpack_record
from .contents import Gap, Loss, Trace, Traced

__all__ = ["SUFFIX", "Gap", "Loss", "Trace", "TraceError", "Traced", "read_trace"]

SUFFIX = ".lmkt"


class TraceError(ValueError):
    """A path that holds no trace: which, what was found, what was wanted."""


@dataclass(frozen=True, slots=True)
class _Raw:
    """A record before its header is looked up."""

    seq: int
    killer_pid: int
    generation: int
    killed: bool
    data: bytes
    file: Path
    offset: int
    headers: int  # how many headers stood before it


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    headers: list[Header] = field(default_factory=list)
    raw: list[_Raw] = field(default_factory=list)
    processes: dict[tuple[int, int], Process] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    strikes: set[Strike] = field(default_factory=set)  # one may be filed twice, as by a steward and its successor
    losses: list[Loss] = field(default_factory=list)


def read_trace(path: Path | str) -> Trace:
    """Read a trace file, or all of a directory `<root>/traces/<boot id>` in order of their numbers.

    TraceError for a directory without trace files and for files without one whole frame; OSError from the file system.
    """
    files = _files_of(Path(path))
    reading = _Reading()
    for file in files:
        _read_file(file, reading)
    if not (reading.headers or reading.raw or reading.notes or reading.processes or reading.strikes):
        size = sum(file.stat().st_size for file in files)
        raise TraceError(f"{path}: found {size} bytes without one whole frame, wanted a trace")
    records, gaps, repeated = _resolve(reading)
    return Trace(
        files=files,
        headers=tuple(reading.headers),
        records=records,
        processes=reading.processes,
        notes=tuple(reading.notes),
        losses=tuple(reading.losses),
        gaps=gaps,
        repeated=repeated,
        strikes=tuple(sorted(reading.strikes, key=lambda strike: strike.monotonic_ns)),
    )


def _files_of(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,)
    numbered = (file for file in path.iterdir() if file.suffix == SUFFIX and file.stem.isdecimal())
    files = tuple(sorted(numbered, key=lambda file: int(file.stem)))
    if not files:
        raise TraceError(f"{path}: found a directory without NNNN{SUFFIX}, wanted the traces of one boot")
    return files


def _frames_of(file: Path) -> Iterator[frames.Frame | frames.Lost]:
    with file.open("rb") as opened:
        if file.stat().st_size == 0:  # an empty file cannot be mapped
            return
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from frames.read_frames(data)


def _read_file(file: Path, reading: _Reading) -> None:
    for part in _frames_of(file):
        if isinstance(part, frames.Lost):
            reading.losses.append(Loss(file, part.offset, part.length, part.why))
            continue
        try:
            _take(part, file, reading)
        except (MessageError, RecordError) as error:
            reading.losses.append(Loss(file, part.offset, part.end - part.offset, str(error)))


def _take(frame: frames.Frame, file: Path, reading: _Reading) -> None:
    if frame.kind == frames.RECORD:
        if len(frame.payload) != RECORD_SIZE:
            raise RecordError(f"record: found {len(frame.payload)} bytes, wanted {RECORD_SIZE}")
        record = unpack_record(frame.payload)
        reading.raw.append(
            _Raw(
                record.seq,
                record.killer_pid,
                record.config_generation,
                record.outcome.pid > 0,
                frame.payload,
                file,
                frame.offset,
                len(reading.headers),
            )
        )
    elif frame.kind == frames.HEADER:
        header = decode_header(frame.payload)
        if header.format != FORMAT:
            raise MessageError("Header.format", header.format, f"{FORMAT}, or a newer lmkctl")
        reading.headers.append(header)
    elif frame.kind == frames.PROCESS:
        process = decode_process(frame.payload)
        reading.processes[process.pid, process.start_ticks] = process
    elif frame.kind == frames.NOTE:
        reading.notes.append(decode_note(frame.payload))
    elif frame.kind == frames.STRIKE:
        reading.strikes.add(decode_strike(frame.payload))
    else:
        raise MessageError("frame", f"kind {frame.kind}", "kinds 1 to 5, or a newer lmkctl")


def _resolve(reading: _Reading) -> tuple[tuple[Traced, ...], tuple[Gap, ...], int]:
    """Give every record its header; find what is missing or there twice."""
    configs = [_config_of(header) for header in reading.headers]
    records: list[Traced] = []
    gaps: list[Gap] = []
    repeated = 0
    last: dict[int, _Raw] = {}
    for raw in reading.raw:
        before = last.get(raw.killer_pid)
        if before is not None and before.seq == raw.seq and before.data == raw.data:
            repeated += 1
            continue
        if before is not None and raw.seq > before.seq + 1:
            gaps.append(Gap(raw.killer_pid, before.seq, raw.seq))
        last[raw.killer_pid] = raw
        index = _header_of(raw, reading.headers)
        records.append(
            Traced(
                data=raw.data,
                file=raw.file,
                offset=raw.offset,
                seq=raw.seq,
                killer_pid=raw.killer_pid,
                killed=raw.killed,
                header=None if index is None else reading.headers[index],
                config=None if index is None else configs[index],
            )
        )
    return tuple(records), tuple(gaps), repeated


def _header_of(raw: _Raw, headers: list[Header]) -> int | None:
    """The last header before the record that speaks of its killer and config; else the first one behind it."""
    order: list[int] = [*range(raw.headers - 1, -1, -1), *range(raw.headers, len(headers))]
    for index in order:
        if headers[index].killer_pid == raw.killer_pid and headers[index].config_generation == raw.generation:
            return index
    return None


def _config_of(header: Header) -> Config | None:
    try:
        return decode_config(header.config)
    except ConfigError:
        return None
