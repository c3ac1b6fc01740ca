from __future__ import annotations

import mmap
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkd_py.core.snapshot import Candidate
from lmkd_py.pb import trace_pb2
from lmkd_py.wire.record import (
    CANDIDATE_ROWS,
    LAYOUT,
    RECORD_SIZE,
    SHORT_SIZE,
    Record,
    RecordError,
    pack_record_into,
    shortened,
    unpack_record,
)
from tests.wire.values import RECORDS, counting_record, from_google, to_google


def packed(record: Record) -> bytes:
    buffer = bytearray(RECORD_SIZE)
    pack_record_into(buffer, 0, record)
    return bytes(buffer)


@given(RECORDS)
def test_what_was_packed_is_unpacked(record: Record) -> None:
    assert unpack_record(packed(record)) == record


@given(RECORDS)
def test_google_protobuf_reads_the_same_record(record: Record) -> None:
    assert from_google(trace_pb2.Record.FromString(packed(record)), record) == record


@given(RECORDS)
def test_google_protobuf_writes_the_same_bytes(record: Record) -> None:
    assert to_google(record, trace_pb2.Record()).SerializeToString() == packed(record)


def test_the_order_on_the_fast_path_is_the_order_of_the_layout() -> None:
    # unpack_record is derived from the shape alone; pack_record_into spells the nesting out.
    record = counting_record()
    assert unpack_record(packed(record)) == record
    assert record.seq == 1
    assert record.left_out[-1] == len(LAYOUT.names)


def test_candidates_beyond_the_rows_are_cut_and_missing_rows_are_dropped_again() -> None:
    record = counting_record()
    crowd = tuple(Candidate(100 + i, 10_000 + i, 900, -1, i, i) for i in range(20))
    for count in (0, 1, CANDIDATE_ROWS, CANDIDATE_ROWS + 1, 20):
        crowded = record._replace(snapshot=record.snapshot._replace(candidates=crowd[:count]))
        assert unpack_record(packed(crowded)).snapshot.candidates == crowd[: min(count, CANDIDATE_ROWS)]


@given(RECORDS)
def test_without_its_empty_rows_it_is_the_same_record_to_us_and_to_google_protobuf(record: Record) -> None:
    empty = record._replace(snapshot=record.snapshot._replace(candidates=()))
    short = shortened(packed(empty))
    assert len(short) == SHORT_SIZE
    assert unpack_record(b"before" + short + b"behind", 6) == empty
    message = trace_pb2.Record.FromString(short)
    assert len(message.snapshot.candidates) == 0
    assert message.SerializeToString() == short
    assert from_google(message, empty) == empty


def test_a_row_of_the_record_before_does_not_shine_through() -> None:
    record = counting_record()
    buffer = bytearray(RECORD_SIZE)
    pack_record_into(buffer, 0, record)
    pack_record_into(buffer, 0, record._replace(snapshot=record.snapshot._replace(candidates=())))
    assert unpack_record(buffer).snapshot.candidates == ()


def test_packing_touches_only_its_own_slot() -> None:
    ring = mmap.mmap(-1, 3 * RECORD_SIZE)
    ring.write(b"\xaa" * len(ring))
    pack_record_into(ring, RECORD_SIZE, counting_record())
    assert ring[:RECORD_SIZE] == b"\xaa" * RECORD_SIZE == ring[2 * RECORD_SIZE :]
    assert unpack_record(ring, RECORD_SIZE) == counting_record()
    ring.close()  # nothing keeps a hold on the buffer


def test_packing_keeps_no_memory() -> None:
    buffer, record = bytearray(RECORD_SIZE), counting_record()
    for _ in range(10):
        pack_record_into(buffer, 0, record)
    tracemalloc.start()
    try:
        pack_record_into(buffer, 0, record)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            pack_record_into(buffer, 0, record)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 512  # one record more would be 1.7 kB


@given(st.integers(0, RECORD_SIZE - 1), st.integers(1, 255))
def test_a_flipped_byte_is_another_number_or_a_clear_error(at: int, flip: int) -> None:
    damaged = bytearray(packed(counting_record()))
    damaged[at] ^= flip
    try:
        found = unpack_record(damaged)
    except RecordError:
        return
    assert found != counting_record()


def test_the_error_names_the_place() -> None:
    damaged = bytearray(packed(counting_record()))
    damaged[9] ^= 1  # the key of the second field
    with pytest.raises(RecordError, match="before trigger at byte 9: found 10, wanted 11"):
        unpack_record(damaged)
    with pytest.raises(RecordError, match=f"found {RECORD_SIZE - 1} bytes, wanted {RECORD_SIZE}"):
        unpack_record(damaged[:-1])
    with pytest.raises(RecordError, match="found 0 bytes"):
        unpack_record(damaged, RECORD_SIZE + 5)


@given(st.binary(max_size=2 * RECORD_SIZE), st.integers(-10, 2 * RECORD_SIZE))
def test_any_bytes_are_a_record_or_a_record_error(data: bytes, offset: int) -> None:
    try:
        unpack_record(data, offset)
    except RecordError:
        pass


@settings(max_examples=30)
@given(RECORDS, st.lists(st.tuples(st.integers(0, RECORD_SIZE - 1), st.integers(0, 255)), max_size=20))
def test_whatever_unpacks_packs_to_the_same_numbers(record: Record, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(packed(record))
    for at, byte in edits:
        damaged[at] = byte
    try:
        found = unpack_record(damaged)
    except RecordError:
        return
    assert unpack_record(packed(found)) == found
