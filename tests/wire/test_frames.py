from __future__ import annotations

import mmap
import struct
import zlib
from binascii import crc32
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.wire.frames import (
    HEAD,
    HEADER,
    MARKER,
    MAX_PAYLOAD,
    NOTE,
    PROCESS,
    RECORD,
    STRIKE,
    Frame,
    FrameError,
    Lost,
    frame_bytes,
    read_frames,
)

PAYLOADS = [(HEADER, b"header"), (RECORD, bytes(40)), (NOTE, b""), (PROCESS, b"a name"), (RECORD, b"\x01" * 33)]
FRAMES = [frame_bytes(kind, payload) for kind, payload in PAYLOADS]
FILE = b"".join(FRAMES)
UNUSED = bytes([next(byte for byte in range(256) if byte not in FILE)])
STARTS = [sum(map(len, FRAMES[:i])) for i in range(len(FRAMES) + 1)]


def test_a_kind_that_was_written_once_keeps_its_number() -> None:
    assert (HEADER, RECORD, PROCESS, NOTE, STRIKE) == (1, 2, 3, 4, 5)  # docs/trace-format.md


def whole(first: int, last: int, shift: int = 0) -> list[Frame | Lost]:
    """The frames of FILE from `first` up to `last`, exclusive, `shift` bytes later."""
    return [Frame(STARTS[i] + shift, *PAYLOADS[i]) for i in range(first, last)]


def hit_by(at: int) -> int:
    """Index of the frame that byte `at` belongs to."""
    return next(i for i in range(len(FRAMES)) if at < STARTS[i + 1])


def test_a_whole_file_is_all_its_frames() -> None:
    assert list(read_frames(FILE)) == whole(0, 5)
    assert list(read_frames(b"")) == []


@pytest.mark.parametrize("at", range(len(FILE)))
def test_a_flipped_byte_costs_its_frame_and_no_other(at: int) -> None:
    hit = hit_by(at)
    for flip in (0x01, 0x80, 0xFF):
        damaged = bytearray(FILE)
        damaged[at] ^= flip
        found = list(read_frames(bytes(damaged)))
        lost = found[hit]
        assert isinstance(lost, Lost)
        assert (lost.offset, lost.length) == (STARTS[hit], len(FRAMES[hit]))
        assert lost.why
        assert found == [*whole(0, hit), lost, *whole(hit + 1, 5)]


@pytest.mark.parametrize("at", range(len(FILE)))
def test_a_missing_byte_costs_its_frame_and_no_other(at: int) -> None:
    hit = hit_by(at)
    found = list(read_frames(FILE[:at] + FILE[at + 1 :]))
    lost = found[hit]
    assert isinstance(lost, Lost)
    assert (lost.offset, lost.length) == (STARTS[hit], len(FRAMES[hit]) - 1)
    assert found == [*whole(0, hit), lost, *whole(hit + 1, 5, -1)]


@pytest.mark.parametrize("at", range(len(FILE) + 1))
def test_an_inserted_byte_costs_at_most_the_frame_around_it(at: int) -> None:
    found = list(read_frames(FILE[:at] + UNUSED + FILE[at:]))
    if at in STARTS:
        between = STARTS.index(at)
        assert found == [*whole(0, between), Lost(at, 1, "no frame starts here"), *whole(between, 5, 1)]
        return
    hit = hit_by(at)
    lost = found[hit]
    assert isinstance(lost, Lost)
    assert (lost.offset, lost.length) == (STARTS[hit], len(FRAMES[hit]) + 1)
    assert found == [*whole(0, hit), lost, *whole(hit + 1, 5, 1)]


@pytest.mark.parametrize("at", range(len(FILE)))
def test_a_torn_tail_reads_as_if_it_had_never_happened_but_is_told(at: int) -> None:
    hit = hit_by(at)
    found = list(read_frames(FILE[:at]))
    if at == STARTS[hit]:
        assert found == whole(0, hit)
        return
    lost = found[-1]
    assert isinstance(lost, Lost)
    assert (lost.offset, lost.length) == (STARTS[hit], at - STARTS[hit])
    assert lost.why.startswith(f"cut short: {at - STARTS[hit]} of ")
    assert found[:-1] == whole(0, hit)


@pytest.mark.parametrize("at", range(len(FILE)))
def test_a_torn_tail_that_was_appended_to_costs_only_what_was_torn(at: int) -> None:
    hit = hit_by(at)
    found = list(read_frames(FILE[:at] + FILE))
    again = [Frame(frame.offset + at, frame.kind, frame.payload) for frame in whole(0, 5) if isinstance(frame, Frame)]
    if at == STARTS[hit]:
        assert found == [*whole(0, hit), *again]
    else:
        assert isinstance(found[hit], Lost)
        assert found == [*whole(0, hit), found[hit], *again]


def test_the_checksum_is_that_of_zlib_over_kind_length_and_payload() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the check value of every CRC catalogue
    frame = frame_bytes(NOTE, b"payload")
    assert struct.unpack_from("<I", frame, 8) == (zlib.crc32(frame[4:8] + b"payload"),)


def test_a_damaged_length_does_not_swallow_the_frames_behind_it() -> None:
    damaged = bytearray(FILE)
    damaged[6:8] = (STARTS[3] - HEAD.size).to_bytes(2, "little")  # it now claims to reach to a frame's end
    assert list(read_frames(bytes(damaged))) == [
        Lost(0, STARTS[1], "its checksum is wrong"),
        *whole(1, 5),
    ]


def test_a_payload_that_looks_like_frames_is_a_payload() -> None:
    outer = frame_bytes(NOTE, FILE)
    assert list(read_frames(outer)) == [Frame(0, NOTE, FILE)]


def test_no_text_contains_the_marker() -> None:
    with pytest.raises(UnicodeDecodeError):
        MARKER[:1].decode()
    with pytest.raises(UnicodeDecodeError):
        MARKER[3:].decode()


def test_an_unknown_kind_is_a_frame_all_the_same() -> None:
    assert list(read_frames(frame_bytes(777, b"new"))) == [Frame(0, 777, b"new")]


def test_a_frame_has_a_limit() -> None:
    longest = bytes(MAX_PAYLOAD)
    assert list(read_frames(frame_bytes(RECORD, longest))) == [Frame(0, RECORD, longest)]
    with pytest.raises(FrameError, match="found 65536 bytes, wanted at most 65535"):
        frame_bytes(RECORD, longest + b"x")


def test_a_mapped_file_reads_like_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "0001.lmkt"
    path.write_bytes(FILE[:-3])
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert list(read_frames(mapped)) == list(read_frames(FILE[:-3]))


def test_a_forged_file_of_markers_is_read_in_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    summed = 0

    def counting(data: bytes) -> int:
        nonlocal summed
        summed += len(data)
        return crc32(data)

    monkeypatch.setattr("lmkd_py.wire.frames.crc32", counting)
    forged = HEAD.pack(MARKER, RECORD, MAX_PAYLOAD, 0) * 40_000
    assert sum(lost.length for lost in read_frames(forged) if isinstance(lost, Lost)) == len(forged)
    assert summed < 10 * len(forged) + (2 << 20)  # without a bound: 2.5 GB


@given(st.lists(st.one_of(st.sampled_from(FRAMES), st.binary(max_size=40), st.just(MARKER))).map(b"".join))
def test_frames_and_losses_cover_any_bytes_without_gap_or_overlap(data: bytes) -> None:
    at = 0
    for part in read_frames(data):
        assert part.offset == at
        if isinstance(part, Frame):
            assert data[at : part.end] == frame_bytes(part.kind, part.payload)
            at = part.end
        else:
            assert part.length > 0
            at += part.length
    assert at == len(data)
