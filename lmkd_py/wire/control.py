"""The packets of the control socket as proto/control.proto has them. MessageError for bytes that are none."""

from __future__ import annotations

from typing import NamedTuple

from ..core.notes import ArmedTrigger, Note
from .message import Message


class Verb:
    """Values of Request.verb."""

    UNSPECIFIED = 0
    STATUS = 1
    RELOAD = 2
    STOP = 3


class Request(NamedTuple):
    """What a client sends: one packet."""

    verb: int = Verb.UNSPECIFIED


class Reply(NamedTuple):
    """What the steward answers: one packet. Flags are 0 or 1."""

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
    triggers: tuple[ArmedTrigger, ...] = ()
    config_hash: str = ""
    filing: str = ""  # why the trace is not written at present
    lost_triggers: tuple[str, ...] = ()  # broke while armed, and are not back yet
    domain_kind: int = 0  # DomainKind that is guarded: what AUTO of the config stands for
    waiting: int = 0  # 1: the domain is not there; nothing is guarded until it is
    notes: tuple[Note, ...] = ()  # how things stand: layers, what is missing, what is being waited for
    domain: str = ""  # the guarded memory in words


_REQUEST = Message(Request)
_REPLY = Message(Reply, triggers=ArmedTrigger, notes=Note)


def encode_request(request: Request) -> bytes:
    """One SEQPACKET packet."""
    return _REQUEST.encode(request)


def decode_request(data: bytes) -> Request:
    """An empty packet is a request for nothing."""
    request: Request = _REQUEST.decode(data)
    return request


def encode_reply(reply: Reply) -> bytes:
    """One SEQPACKET packet."""
    return _REPLY.encode(reply)


def decode_reply(data: bytes) -> Reply:
    """A reply packet. Skips fields of newer daemons; raises MessageError."""
    reply: Reply = _REPLY.decode(data)
    return reply
