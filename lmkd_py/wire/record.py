"""The ring record: all that one wakeup saw, thought and did, as one protobuf message with constant offsets.

`pack_record_into` runs on the kill path: one struct.pack_into into memory that is already there. Packing never
grows anything; what it allocates are short-lived Python objects. Stock protobuf reads the same bytes by
proto/trace.proto.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from ..core.decision import Judgement
from ..core.snapshot import Candidate, Outcome, Snapshot
from ..core.state import PolicyState
from .layout import FIXED64_BYTES, NO_ROWS, Shape, layout_of, spans

CANDIDATE_ROWS = 8  # of the snapshot's candidates a record keeps this many, the most expendable first


class Timings(NamedTuple):
    """Phases of one wakeup in nanoseconds. 0: the phase did not run."""

    woke_ns: int  # CLOCK_MONOTONIC when poll() returned
    inbox_ns: int  # durations from here on: taking in registrations
    read_ns: int  # pinned reads and parsing
    judge_ns: int  # rules
    rank_ns: int  # candidates: sizes and order
    strike_ns: int  # until the last pidfd_send_signal returned


class Aftermath(NamedTuple):
    """What became of the last struck process, as far as it was known when this record was written."""

    pid: int  # 0: nobody was struck yet
    struck_ns: int  # CLOCK_MONOTONIC
    died_ns: int  # CLOCK_MONOTONIC; 0: not dead yet
    reap_ns: int  # duration of process_mrelease; 0: not tried or not finished
    reap_result: int  # 0 or the negative errno of process_mrelease


NO_AFTERMATH = Aftermath(0, 0, 0, 0, 0)


class LeftOut(NamedTuple):
    """The wakeups that struck nobody between a record and the one before it, and have no record. Times in ms."""

    wakeups: int  # how many; 0: every wakeup since the record before has one, and the other fields say nothing
    first_ms: int  # CLOCK_MONOTONIC
    last_ms: int  # CLOCK_MONOTONIC
    min_free_kb: int  # lowest Snapshot.mem_free_kb; ABSENT if one of them could not read it
    max_psi_some_centi_pct: int  # highest psi_mem_some_avg10_centi_pct; ABSENT: no PSI
    max_psi_full_centi_pct: int  # highest psi_mem_full_avg10_centi_pct; ABSENT: no PSI


NONE_LEFT_OUT = LeftOut(0, 0, 0, 0, 0, 0)


class Record(NamedTuple):
    """One wakeup. All numbers are signed 64-bit."""

    seq: int  # counts the records of one killer, not its wakeups, without gaps; a gap means records were lost
    trigger: int  # index into the trace header's list of triggers, the stall meter's where it spoke; ABSENT for a poll
    observe: int  # 1: nobody was signalled, the outcome tells what would have been
    layers: int  # active layers of the memory guarantee; bit N stands for layer N
    config_generation: int  # of the config in force; the header of that generation holds it
    candidates_considered: int  # how many rows were looked at in all
    snapshot: Snapshot  # its candidates are those considered, in rank order, cut to CANDIDATE_ROWS
    state: PolicyState  # before the decision
    judgement: Judgement
    outcome: Outcome  # of this decision
    aftermath: Aftermath
    timings: Timings
    killer_pid: int  # who wrote it: a trace may hold the last records of an orphaned killer and its successor's
    domain_id: int = 0  # of the guarded memory; a daemon guards one, so always 0
    left_out: LeftOut = NONE_LEFT_OUT  # between the record before and this one


class RecordError(ValueError):
    """Bytes that are no record of this layout."""


def _shape(rows: int) -> Shape:
    return Shape(
        Record,
        snapshot=Shape(Snapshot, outcome=Shape(Outcome), candidates=Shape(Candidate, rows=rows)),
        state=Shape(PolicyState),
        judgement=Shape(Judgement, state=Shape(PolicyState)),
        outcome=Shape(Outcome),
        aftermath=Shape(Aftermath),
        timings=Shape(Timings),
        left_out=Shape(LeftOut),
    )


SHAPE = _shape(CANDIDATE_ROWS)
LAYOUT = layout_of(SHAPE)
_STRUCT = struct.Struct(LAYOUT.format)
RECORD_SIZE = _STRUCT.size

# The ring has room for all rows; in a file a record without candidates goes without the rows, a fifth of it.
SHORT_SHAPE = _shape(NO_ROWS)
SHORT_LAYOUT = layout_of(SHORT_SHAPE)
_SHORT_STRUCT = struct.Struct(SHORT_LAYOUT.format)
SHORT_SIZE = _SHORT_STRUCT.size
# Both begin alike, up to the length of the snapshot.
_NOW_MS = LAYOUT.names.index("snapshot.now_ms")
_LENGTH_AT = sum(len(each) + FIXED64_BYTES for each in LAYOUT.constants[:_NOW_MS])
_SHORT_LENGTH = SHORT_LAYOUT.constants[_NOW_MS]
_BEHIND_LENGTH = _LENGTH_AT + len(LAYOUT.constants[_NOW_MS])
_IN_ROWS = [at for at, name in enumerate(LAYOUT.names) if name not in SHORT_LAYOUT.names]
_ROWS_AT, _BEHIND_ROWS = (
    sum(len(each) + FIXED64_BYTES for each in LAYOUT.constants[:at]) for at in (_IN_ROWS[0], _IN_ROWS[-1] + 1)
)

# Where the nested values sit in the tuples of core; pack_record_into copies the stretches between them.
_RECORD_HEAD = slice(0, Record._fields.index("snapshot"))
_SNAPSHOT = spans(Snapshot, "outcome", "candidates")
_S1, _S2, _S3 = _SNAPSHOT["outcome"], _SNAPSHOT["candidates"], _SNAPSHOT[""]
_JUDGEMENT = spans(Judgement, "state")
_J1, _J2 = _JUDGEMENT["state"], _JUDGEMENT[""]
_PADDING: tuple[tuple[int, ...], ...] = tuple(
    (0,) * (len(Candidate._fields) * (CANDIDATE_ROWS - rows)) for rows in range(CANDIDATE_ROWS + 1)
)
# Arguments of pack_into, made once: buffer, offset, then constant and number in turn.
_ARGUMENTS: list[Any] = [None, 0]
for _constant in LAYOUT.constants:
    _ARGUMENTS += (_constant, 0)


def pack_record_into(buffer: Any, offset: int, record: Record) -> None:
    """Write `record` at `offset` of a writable buffer that has RECORD_SIZE bytes there.

    Not reentrant: the killer's one deciding thread calls it. Raises struct.error for a number beyond 64 bits.
    """
    snapshot: Any = record.snapshot  # Any: mypy cannot tell the slices of a mixed tuple apart
    judgement: Any = record.judgement
    head: Any = record[_RECORD_HEAD]
    rows: list[int] = []
    candidates = snapshot.candidates
    if len(candidates) > CANDIDATE_ROWS:
        candidates = candidates[:CANDIDATE_ROWS]
    for candidate in candidates:
        rows += candidate
    arguments = _ARGUMENTS
    arguments[0] = buffer
    arguments[1] = offset
    arguments[3::2] = [
        *head,
        *snapshot[_S1],
        *snapshot.outcome,
        *snapshot[_S2],
        *rows,
        *_PADDING[len(candidates)],
        *snapshot[_S3],
        *record.state,
        *judgement[_J1],
        *judgement.state,
        *judgement[_J2],
        *record.outcome,
        *record.aftermath,
        *record.timings,
        record.killer_pid,
        record.domain_id,
        *record.left_out,
    ]
    _STRUCT.pack_into(*arguments)
    arguments[0] = None  # or the ring's mmap could never be closed


def is_short(buffer: Any, offset: int = 0) -> bool:
    """Whether the record at `offset` is one without candidate rows."""
    at = offset + _LENGTH_AT
    return bytes(buffer[at : at + len(_SHORT_LENGTH)]) == _SHORT_LENGTH


def shortened(data: bytes) -> bytes:
    """The bytes of a whole record of the ring, without its candidate rows, which are all empty."""
    return b"".join((data[:_LENGTH_AT], _SHORT_LENGTH, data[_BEHIND_LENGTH:_ROWS_AT], data[_BEHIND_ROWS:]))


def unpack_record(buffer: Any, offset: int = 0) -> Record:
    """The record at `offset`, with candidate rows or without; RecordError when the bytes there are none."""
    short = is_short(buffer, offset)
    shape, layout, numbers = (SHORT_SHAPE, SHORT_LAYOUT, _SHORT_STRUCT) if short else (SHAPE, LAYOUT, _STRUCT)
    try:
        flat = numbers.unpack_from(buffer, offset)
    except struct.error:
        found = max(len(memoryview(buffer).cast("B")) - offset, 0)
        raise RecordError(f"record: found {found} bytes, wanted {numbers.size}") from None
    if flat[0::2] != layout.constants:
        at = 0
        for found_constant, wanted, name in zip(flat[0::2], layout.constants, layout.names):
            if found_constant != wanted:
                raise RecordError(
                    f"record: before {name} at byte {at}: found {found_constant.hex()}, wanted {wanted.hex()}"
                )
            at += len(wanted) + 8
    record: Record = shape.build(list(flat[1::2]))[0]
    return record
