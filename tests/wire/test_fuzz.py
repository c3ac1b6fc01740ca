"""Every parser of wire against mutated good input: it returns or raises its own error, and its memory is bounded."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from lmkd_py.core.config import DEFAULTS, ConfigError
from lmkd_py.wire.config import decode_config, encode_config
from lmkd_py.wire.control import Reply, Request, Verb, decode_reply, decode_request, encode_reply, encode_request
from lmkd_py.wire.frames import HEADER, MARKER, MAX_PAYLOAD, NOTE, RECORD, frame_bytes, read_frames
from lmkd_py.wire.header import (
    ArmedTrigger,
    Header,
    Layer,
    Note,
    Process,
    Strike,
    decode_header,
    decode_note,
    decode_process,
    decode_strike,
    encode_header,
    encode_note,
    encode_process,
    encode_strike,
)
from lmkd_py.wire.layout import tag, varint
from lmkd_py.wire.message import MessageError
from lmkd_py.wire.record import RECORD_SIZE, RecordError, pack_record_into, unpack_record
from lmkd_py.wire.report import Report, decode_report, encode_report
from tests.support import FEW_EXAMPLES, SUITE_ALL
from tests.wire.values import counting_record

ROUNDS = 30_000 if SUITE_ALL and not FEW_EXAMPLES else 1_500


class Target(NamedTuple):
    parse: Callable[[bytes], Any]
    error: type[Exception]
    good: bytes


class NeverRaised(Exception):
    """What a parser may raise that may raise nothing."""


def good_record() -> bytes:
    buffer = bytearray(RECORD_SIZE)
    pack_record_into(buffer, 0, counting_record())
    return bytes(buffer)


NOTED = Note(5, "lost", "text", 3, 2, 13, "what")
ARMED = (ArmedTrigger("psi some", "70 ms"), ArmedTrigger("psi full"))
FULL = Header(board="b", config=encode_config(DEFAULTS), layers=(Layer(1, 1, (NOTED,)),) * 3, triggers=ARMED)
TARGETS = {
    "record": Target(unpack_record, RecordError, good_record()),
    "header": Target(decode_header, MessageError, encode_header(FULL)),
    "process": Target(decode_process, MessageError, encode_process(Process(1, 2, 3, "name"))),
    "note": Target(decode_note, MessageError, encode_note(NOTED)),
    "strike": Target(decode_strike, MessageError, encode_strike(Strike(1 << 40, 1 << 39, 7, 8, 900, 5))),
    "config": Target(decode_config, ConfigError, encode_config(DEFAULTS)),
    "request": Target(decode_request, MessageError, encode_request(Request(Verb.RELOAD))),
    "reply": Target(decode_reply, MessageError, encode_reply(Reply(text="t", triggers=ARMED, notes=(NOTED,)))),
    "report": Target(decode_report, MessageError, encode_report(Report("d", ARMED, (NOTED,) * 3, "f"), 4096)),
    "frames": Target(
        lambda data: list(read_frames(data)),
        NeverRaised,
        frame_bytes(HEADER, encode_header(FULL))
        + frame_bytes(RECORD, bytes(50))
        + frame_bytes(NOTE, encode_note(NOTED)),
    ),
}
each = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def mutated(good: bytes, dice: random.Random) -> bytes:
    """The input with a few flips, cuts, doublings and insertions."""
    data = bytearray(good)
    for _ in range(dice.randint(1, 6)):
        at, length = dice.randrange(len(data) + 1), dice.choice((1, 1, 2, 8, 40))
        what = dice.randrange(5)
        if what == 0:
            del data[at : at + length]
        elif what == 1:
            data[at:at] = data[at : at + length]
        elif what == 2:
            data[at:at] = dice.randbytes(length)
        elif what == 3:
            data[at : at + 1] = dice.choice((b"\x00", b"\x7f", b"\x80", b"\xff"))
        elif at < len(data):
            data[at] ^= 1 << dice.randrange(8)
    return bytes(data)


@each
def test_mutated_input_is_parsed_or_refused(target: Target) -> None:
    target.parse(target.good)
    dice = random.Random(20_250_301)
    refused = 0
    for _ in range(ROUNDS):
        data = mutated(target.good, dice)
        try:
            target.parse(data)
        except target.error:
            refused += 1
    assert refused < ROUNDS
    assert refused or target.error is NeverRaised


def repeated(number: int, body: bytes = b"") -> bytes:
    """As much as a frame can hold of one field."""
    one = tag(number, 2) + varint(len(body)) + body
    return one * (MAX_PAYLOAD // len(one))


# What makes a parser allocate most for each byte it is given.
GREEDY = {
    "empty layers": (decode_header, repeated(18)),
    "empty triggers": (decode_header, repeated(19)),
    "one-letter triggers": (decode_reply, repeated(18, b"\n\1x")),
    "a claimed length": (decode_note, tag(2, 2) + varint(2**62)),
    "small frames": (lambda data: list(read_frames(data)), frame_bytes(NOTE, b"") * 5_000),
    "only markers": (lambda data: list(read_frames(data)), MARKER + b"\x02\x00\xff\xff" * 8_000),
}


@pytest.mark.parametrize("name", GREEDY)
def test_memory_is_a_small_multiple_of_the_input(name: str) -> None:
    parse, data = GREEDY[name]
    tracemalloc.start()
    try:
        parse(data)
    except MessageError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 64 * len(data) + (256 << 10)
