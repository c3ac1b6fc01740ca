"""Values for the tests of wire: any record, and the way from named tuples to google.protobuf and back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from lmkd_py.core.snapshot import Candidate
from lmkd_py.wire.header import ArmedTrigger, Layer, Note
from lmkd_py.wire.message import Message
from lmkd_py.wire.record import CANDIDATE_ROWS, LAYOUT, SHAPE, Record

# An example of each message that is repeated, by the name of its field.
ROWS = {"candidates": Candidate(0, 0, 0, 0, 0, 0), "layers": Layer(), "notes": Note(), "triggers": ArmedTrigger()}
INT64 = st.integers(-(2**63), 2**63 - 1)
# Mostly what counters really are; every 64-bit number all the same.
NUMBERS = st.one_of(st.integers(-1, 300), st.integers(0, 2**45), INT64)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


def record_of(numbers: list[int]) -> Record:
    """The record whose numbers, in the order of the layout, are these."""
    record: Record = SHAPE.build(numbers)[0]
    return record


def counting_record() -> Record:
    """A record in which every number differs: 1, 2, 3, ..."""
    return record_of(list(range(1, len(LAYOUT.names) + 1)))


RECORDS = st.lists(NUMBERS, min_size=len(LAYOUT.names), max_size=len(LAYOUT.names)).map(record_of)


def to_google(value: Any, message: Any) -> Any:
    """Fill a google.protobuf message from a named tuple by the names of the fields."""
    for name in value._fields:
        field = getattr(value, name)
        if name == "candidates" and isinstance(field, tuple):  # a ring record always has all its rows
            field = (*field, *[Candidate(*[0] * len(Candidate._fields))] * (CANDIDATE_ROWS - len(field)))
        if hasattr(field, "_fields"):
            to_google(field, getattr(message, name))
            getattr(message, name).SetInParent()
        elif isinstance(field, tuple):
            for one in field:
                row = getattr(message, name)
                if isinstance(one, str):
                    row.append(one)
                elif hasattr(row, "add"):
                    to_google(one, row.add())
                else:  # bytes: a message of another file
                    row.append(Message(type(one)).encode(one))
        else:
            setattr(message, name, field)
    return message


def from_google(message: Any, like: Any) -> Any:
    """The named tuple a google.protobuf message stands for; `like` is one of the same class, for its shape."""
    fields = []
    for name in like._fields:
        field, example = getattr(message, name), getattr(like, name)
        if hasattr(example, "_fields"):
            field = from_google(field, example)
        elif isinstance(example, tuple) and name in ROWS:
            one = ROWS[name]
            rows = (
                Message(type(one)).decode(row) if isinstance(row, bytes) else from_google(row, one) for row in field
            )
            field = tuple(row for row in rows if name != "candidates" or row[0])
        elif isinstance(example, tuple):
            field = tuple(field)
        fields.append(field)
    return type(like)(*fields)
