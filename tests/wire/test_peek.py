from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.wire.peek import Peek, peek
from lmkd_py.wire.record import RECORD_SIZE, Record, RecordError, pack_record_into, shortened, unpack_record
from tests.wire.values import RECORDS, counting_record


def packed(record: Record) -> bytes:
    buffer = bytearray(RECORD_SIZE)
    pack_record_into(buffer, 0, record)
    return bytes(buffer)


def told(read: Callable[[bytes], Peek | Record], data: bytes) -> str:
    """What is wrong with these bytes, by one who reads them."""
    try:
        read(data)
    except RecordError as why:
        return str(why)
    return ""


@given(RECORDS)
def test_a_peek_finds_what_the_whole_record_says(record: Record) -> None:
    data = packed(record)
    whole = unpack_record(data)
    judgement, outcome = whole.judgement, whole.outcome
    assert peek(data) == Peek(
        observe=whole.observe,
        candidates=tuple((each.pid, each.start_ticks) for each in whole.snapshot.candidates),
        action=judgement.action,
        futile_kills=judgement.state.futile_kills,
        held_until_ms=judgement.state.held_until_ms,
        stall_wait_until_ms=judgement.state.stall_wait_until_ms,
        pid=outcome.pid,
        at_ms=outcome.at_ms,
    )


@given(st.integers(0, RECORD_SIZE - 1), st.integers(1, 255))
def test_what_cannot_be_unpacked_cannot_be_peeked_at_either(at: int, flip: int) -> None:
    damaged = bytearray(packed(counting_record()))
    damaged[at] ^= flip
    assert told(peek, bytes(damaged)) == told(unpack_record, bytes(damaged))


def test_only_a_record_with_all_its_rows_and_nothing_behind_it_is_peeked_at() -> None:
    data = packed(counting_record())
    for other in (data[:-1], data + b"\0", shortened(data), b""):
        with pytest.raises(RecordError, match=f"found {len(other)} bytes, wanted"):
            peek(other)
