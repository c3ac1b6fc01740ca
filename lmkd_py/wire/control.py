"""The packets of the control socket as proto/control.proto has them. MessageError for bytes that are none."""

from __future__ import annotations

from typing import NamedTuple

from .message import Message


class Verb:
    """What a request asks for."""

    UNSPECIFIED = 0
    STATUS = 1
    RELOAD = 2
    STOP = 3


class Request(NamedTuple):
    """One packet to the steward."""

    verb: int = Verb.UNSPECIFIED


class Reply(NamedTuple):
    """One packet back. Flags are 0 or 1."""

    ok: int = 0
    text: str = ""
    steward_pid: int = 0
    killer_pid: int = 0
    ring_fd: int = 0  # number in the killer; -1: no ring
    armed: int = 0
    observe: int = 0
    layers: int = 0  # bit N stands for layer N
    config_generation: int = 0
    kills: int = 0
    records: int = 0
    lost: int = 0
    candidates: int = 0
    ring_slots: int = 0
    ring_offset: int = 0  # bytes before the first slot
    record_bytes: int = 0
    trace_path: str = ""
    triggers: tuple[str, ...] = ()
    config_hash: str = ""


_REQUEST = Message(Request)
_REPLY = Message(Reply)


def encode_request(request: Request) -> bytes:
    """The packet."""
    return _REQUEST.encode(request)


def decode_request(data: bytes) -> Request:
    """An empty packet is a request for nothing."""
    request: Request = _REQUEST.decode(data)
    return request


def encode_reply(reply: Reply) -> bytes:
    """The packet."""
    return _REPLY.encode(reply)


def decode_reply(data: bytes) -> Reply:
    """Fields of a newer daemon are skipped."""
    reply: Reply = _REPLY.decode(data)
    return reply
