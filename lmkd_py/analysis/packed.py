"""A record as it lies in a file: whether it is one, and single numbers of it, without decoding the rest."""

from __future__ import annotations

import struct
from itertools import accumulate

from ..wire.frames import HEAD
from ..wire.layout import FIXED64_BYTES, Layout
from ..wire.record import LAYOUT, RECORD_SIZE, SHORT_LAYOUT, SHORT_SIZE, RecordError, is_short, unpack_record
from .mapped import Data

FRAME_BYTES = HEAD.size + RECORD_SIZE
SHORT_FRAME_BYTES = HEAD.size + SHORT_SIZE  # of a record without candidate rows

_NUMBER = struct.Struct("<q")


class _Places:
    """Where things are in one of the two layouts."""

    def __init__(self, layout: Layout) -> None:
        # Where each number ends, and so where it begins.
        ends = accumulate(len(constant) + FIXED64_BYTES for constant in layout.constants)
        self.offsets = {name: end - FIXED64_BYTES for name, end in zip(layout.names, ends, strict=True)}
        # All that is constant in a record as one number, and the bits that are.
        self.constant = int.from_bytes(b"".join(one + bytes(FIXED64_BYTES) for one in layout.constants), "little")
        masks = (b"\xff" * len(one) + bytes(FIXED64_BYTES) for one in layout.constants)
        self.mask = int.from_bytes(b"".join(masks), "little")


_WHOLE, _SHORT = _Places(LAYOUT), _Places(SHORT_LAYOUT)


def number(name: str, data: Data, at: int = 0) -> int:
    """One number of the record at `at`, by its name in the layout: `seq`, `outcome.pid`, `snapshot.candidates[0].pid`.

    Of a record without candidate rows their numbers are 0. KeyError for a name that is not there.
    """
    places = _SHORT if is_short(data, at) else _WHOLE
    if name not in places.offsets and name in _WHOLE.offsets:
        return 0
    found: int = _NUMBER.unpack_from(data, at + places.offsets[name])[0]
    return found


def check(payload: bytes) -> None:
    """RecordError where unpack_record() would raise it, and for more bytes than a record has."""
    places, size = (_SHORT, SHORT_SIZE) if is_short(payload) else (_WHOLE, RECORD_SIZE)
    if len(payload) != size:
        raise RecordError(f"record: found {len(payload)} bytes, wanted {size}")
    if int.from_bytes(payload, "little") & places.mask != places.constant:
        unpack_record(payload)  # says where
