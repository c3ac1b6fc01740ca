"""Headers, processes, notes, strikes and control packets: the same to google.protobuf, and safe against any bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.pb import control_pb2, trace_pb2
from lmkd_py.wire.control import (
    Reply,
    Request,
    Verb,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
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
from lmkd_py.wire.message import Message, MessageError
from tests.wire.values import INT64, TEXTS, from_google, to_google

NOTES = st.builds(Note, INT64, TEXTS, TEXTS, INT64, INT64, INT64, TEXTS)
SOME_TRIGGERS = st.lists(st.builds(ArmedTrigger, TEXTS, TEXTS), max_size=3).map(tuple)
SOME_NOTES = st.lists(NOTES, max_size=3).map(tuple)
LAYERS = st.builds(Layer, INT64, INT64, SOME_NOTES)


def strategy(cls: Any, **special: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Hypothesis strategy: any value of a message class."""
    kinds = {int: INT64, str: TEXTS, bytes: st.binary(max_size=40), tuple: st.lists(TEXTS, max_size=5).map(tuple)}
    by_default = {name: kinds[type(value)] for name, value in cls._field_defaults.items()}
    return st.builds(cls, **{**by_default, **special})


class Codec(NamedTuple):
    values: st.SearchStrategy[Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    google: Any


CODECS = {
    "Header": Codec(
        strategy(Header, layers=st.lists(LAYERS, max_size=4).map(tuple), triggers=SOME_TRIGGERS, notes=SOME_NOTES),
        encode_header,
        decode_header,
        trace_pb2.Header,
    ),
    "Process": Codec(strategy(Process), encode_process, decode_process, trace_pb2.Process),
    "Note": Codec(strategy(Note), encode_note, decode_note, trace_pb2.Note),
    "Strike": Codec(strategy(Strike), encode_strike, decode_strike, trace_pb2.Strike),
    "Request": Codec(strategy(Request, verb=st.integers(0, 3)), encode_request, decode_request, control_pb2.Request),
    "Reply": Codec(
        strategy(Reply, triggers=SOME_TRIGGERS, notes=SOME_NOTES), encode_reply, decode_reply, control_pb2.Reply
    ),
}
each = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


@each
@given(data=st.data())
def test_google_protobuf_agrees_both_ways(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(codec.values)
    assert codec.decode(codec.encode(value)) == value
    assert from_google(codec.google.FromString(codec.encode(value)), value) == value
    assert codec.decode(to_google(value, codec.google()).SerializeToString()) == value


@each
@given(noise=st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_message_error(codec: Codec, noise: bytes) -> None:
    try:
        value = codec.decode(noise)
    except MessageError:
        return
    assert codec.decode(codec.encode(value)) == value


@each
@given(data=st.data())
def test_a_damaged_message_is_a_message_or_a_message_error(codec: Codec, data: st.DataObject) -> None:
    damaged = bytearray(codec.encode(data.draw(codec.values)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        codec.decode(bytes(damaged))
    except MessageError:
        pass


@each
@given(data=st.data())
def test_fields_of_a_newer_version_are_skipped(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(codec.values)
    newer = b"\xf8\x06\x96\x01\xfa\x06\x02ab\xf9\x06" + bytes(8) + b"\xfd\x06" + bytes(4)  # field 111
    assert codec.decode(newer + codec.encode(value) + newer) == value


def test_text_that_is_no_text_can_be_written_all_the_same() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert decode_process(encode_process(Process(name=name))).name == "caf?"


def test_errors_name_what_was_found_and_wanted() -> None:
    wrong = {
        b"\x08": "Process at byte 1: found the end, wanted a varint of 64 bits",
        b"\x08" + b"\xff" * 10: "Process at byte 1: found ffffffffffffffffffff, wanted a varint of 64 bits",
        b"\x22\x05ab": "Process at byte 0: found 2 bytes, wanted a whole field",
        b"\x0b": "Process at byte 0: found wire type 3, wanted a whole field",
        b"\x0a\x00": r"Process.pid \(field 1\): found wire type 2, wanted wire type 0",
        b"\x22\x01\xff": "Process.name: found byte 0 of 1 bytes, wanted UTF-8",
        b"\x00": "Process at byte 1: found the end",
        b"\x00\x00": "Process field 0: found it, wanted fields 1 to 6",
    }
    for data, message in wrong.items():
        with pytest.raises(MessageError, match=message):
            decode_process(data)
    with pytest.raises(MessageError, match=r"Process.pid: found 9223372036854775808, wanted a signed 64-bit number"):
        encode_process(Process(pid=2**63))


def test_an_empty_packet_asks_for_nothing() -> None:
    assert decode_request(b"") == Request(Verb.UNSPECIFIED)
    assert decode_request(encode_request(Request(Verb.STOP))).verb == Verb.STOP


def test_a_new_message_needs_no_more_than_its_tuple() -> None:
    class Pair(NamedTuple):
        left: Layer = Layer()
        right: tuple[Layer, ...] = ()

    codec = Message(Pair, right=Layer)
    pair = Pair(Layer(1, 1), (Layer(), Layer(2, 0)))
    assert codec.decode(codec.encode(pair)) == pair
    assert codec.decode(b"") == Pair()
