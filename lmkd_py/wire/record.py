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
from .layout import Shape, layout_of, spans

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


class Record(NamedTuple):
    """One wakeup. All numbers are signed 64-bit."""

    seq: int  # counts the records of one killer without gaps; a gap means records were lost
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


class RecordError(ValueError):
    """Bytes that are no record of this layout."""


SHAPE = Shape(
    Record,
    snapshot=Shape(Snapshot, outcome=Shape(Outcome), candidates=Shape(Candidate, rows=CANDIDATE_ROWS)),
    state=Shape(PolicyState),
    judgement=Shape(Judgement, state=Shape(PolicyState)),
    outcome=Shape(Outcome),
    aftermath=Shape(Aftermath),
    timings=Shape(Timings),
)
LAYOUT = layout_of(SHAPE)
_STRUCT = struct.Struct(LAYOUT.format)
RECORD_SIZE = _STRUCT.size

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
    ]
    _STRUCT.pack_into(*arguments)
    arguments[0] = None  # or the ring's mmap could never be closed


def unpack_record(buffer: Any, offset: int = 0) -> Record:
    """The record at `offset`; RecordError when the bytes there are not of this layout."""
    try:
        flat = _STRUCT.unpack_from(buffer, offset)
    except struct.error:
        found = max(len(memoryview(buffer).cast("B")) - offset, 0)
        raise RecordError(f"record: found {found} bytes, wanted {RECORD_SIZE}") from None
    if flat[0::2] != LAYOUT.constants:
        at = 0
        for found_constant, wanted, name in zip(flat[0::2], LAYOUT.constants, LAYOUT.names):
            if found_constant != wanted:
                raise RecordError(
                    f"record: before {name} at byte {at}: found {found_constant.hex()}, wanted {wanted.hex()}"
                )
            at += len(wanted) + 8
    record: Record = SHAPE.build(list(flat[1::2]))[0]
    return record
