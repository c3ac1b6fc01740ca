"""A record as it lies in a file: whether it is one, and single numbers of it, without decoding the rest."""

from __future__ import annotations

import struct
from itertools import accumulate

from ..wire.frames import HEAD
from ..wire.layout import FIXED64_BYTES
from ..wire.record import LAYOUT, RECORD_SIZE, RecordError, unpack_record
from .mapped import Data

FRAME_BYTES = HEAD.size + RECORD_SIZE

_NUMBER = struct.Struct("<q")
# Where each number ends, and so where it begins.
_ENDS = accumulate(len(constant) + FIXED64_BYTES for constant in LAYOUT.constants)
_OFFSETS = {name: end - FIXED64_BYTES for name, end in zip(LAYOUT.names, _ENDS, strict=True)}
# All that is constant in a record as one number, and the bits that are.
_CONSTANT = int.from_bytes(b"".join(one + bytes(FIXED64_BYTES) for one in LAYOUT.constants), "little")
_MASK = int.from_bytes(b"".join(b"\xff" * len(one) + bytes(FIXED64_BYTES) for one in LAYOUT.constants), "little")


def number(name: str, data: Data, at: int = 0) -> int:
    """One number of the record at `at`, by its name in the layout: `seq`, `outcome.pid`, `snapshot.candidates[0].pid`.

    KeyError for a name that is not there.
    """
    found: int = _NUMBER.unpack_from(data, at + _OFFSETS[name])[0]
    return found


def check(payload: bytes) -> None:
    """RecordError where unpack_record() would raise it, and for more bytes than a record has."""
    if len(payload) != RECORD_SIZE:
        raise RecordError(f"record: found {len(payload)} bytes, wanted {RECORD_SIZE}")
    if int.from_bytes(payload, "little") & _MASK != _CONSTANT:
        unpack_record(payload)  # says where
