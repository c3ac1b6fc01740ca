"""The few numbers of a ring record that decide how it is filed, read at their offsets: the rest is only copied."""

from __future__ import annotations

import struct
from typing import NamedTuple

from .layout import FIXED64_BYTES
from .record import CANDIDATE_ROWS, LAYOUT, RECORD_SIZE, RecordError, unpack_record


class Peek(NamedTuple):
    """Of a record with candidate rows; names as in Record and the values it is made of."""

    observe: int
    candidates: tuple[tuple[int, int], ...]  # pid and start_ticks of each row that is none of padding
    action: int  # these four of the judgement
    futile_kills: int
    held_until_ms: int
    stall_wait_until_ms: int
    pid: int  # these two of the outcome
    at_ms: int


_ROWS = tuple(f"snapshot.candidates[{row}].{name}" for row in range(CANDIDATE_ROWS) for name in ("pid", "start_ticks"))
_OTHERS = (
    *("judgement.action", "judgement.state.futile_kills"),
    *("judgement.state.held_until_ms", "judgement.state.stall_wait_until_ms", "outcome.pid", "outcome.at_ms"),
)
_NAMES = ("observe", *_ROWS, *_OTHERS)
_SPANS = tuple(
    f"{len(constant)}x{'q' if name in _NAMES else '8x'}" for constant, name in zip(LAYOUT.constants, LAYOUT.names)
)
_STRUCT = struct.Struct("<" + "".join(_SPANS))
# Where each name comes in what _STRUCT gives, which is in the order of the layout.
_ORDER = [name for name in LAYOUT.names if name in _NAMES]
_OBSERVE = _ORDER.index("observe")
_ROWS_AT = slice(_ORDER.index(_ROWS[0]), _ORDER.index(_ROWS[-1]) + 1)
_OTHERS_AT = tuple(_ORDER.index(name) for name in _OTHERS)
# The bytes between the numbers are compared in one go, as bits of one large number.
_NUMBER = FIXED64_BYTES * b"\0"
_CONSTANTS = int.from_bytes(b"".join(constant + _NUMBER for constant in LAYOUT.constants), "little")
_MASK = int.from_bytes(b"".join(b"\xff" * len(constant) + _NUMBER for constant in LAYOUT.constants), "little")


def peek(data: bytes) -> Peek:
    """Of the bytes of a record of the ring; RecordError where they are none."""
    if len(data) != RECORD_SIZE or int.from_bytes(data, "little") & _MASK != _CONSTANTS:
        unpack_record(data)  # says what is the matter
        raise RecordError(f"record: found {len(data)} bytes, wanted {RECORD_SIZE}")
    found = _STRUCT.unpack(data)
    rows = found[_ROWS_AT]
    candidates = tuple([each for each in zip(rows[0::2], rows[1::2]) if each[0]]) if any(rows[0::2]) else ()
    action, futile_kills, held_until_ms, stall_wait_until_ms, pid, at_ms = [found[at] for at in _OTHERS_AT]
    return Peek(found[_OBSERVE], candidates, action, futile_kills, held_until_ms, stall_wait_until_ms, pid, at_ms)
