# mypy: ignore-errors
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERB_UNSPECIFIED: _ClassVar[Verb]
    STATUS: _ClassVar[Verb]
    RELOAD: _ClassVar[Verb]
    STOP: _ClassVar[Verb]
VERB_UNSPECIFIED: Verb
STATUS: Verb
RELOAD: Verb
STOP: Verb

class Request(_message.Message):
    __slots__ = ("verb",)
    VERB_FIELD_NUMBER: _ClassVar[int]
    verb: Verb
    def __init__(self, verb: _Optional[_Union[Verb, str]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("ok", "text", "steward_pid", "killer_pid", "ring_fd", "armed", "observe", "layers", "config_generation", "kills", "records", "lost", "candidates", "ring_slots", "ring_offset", "record_bytes", "trace_path", "triggers", "config_hash", "filing", "lost_triggers", "domain_kind", "waiting", "notes", "domain")
    OK_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STEWARD_PID_FIELD_NUMBER: _ClassVar[int]
    KILLER_PID_FIELD_NUMBER: _ClassVar[int]
    RING_FD_FIELD_NUMBER: _ClassVar[int]
    ARMED_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_GENERATION_FIELD_NUMBER: _ClassVar[int]
    KILLS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    RING_SLOTS_FIELD_NUMBER: _ClassVar[int]
    RING_OFFSET_FIELD_NUMBER: _ClassVar[int]
    RECORD_BYTES_FIELD_NUMBER: _ClassVar[int]
    TRACE_PATH_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_HASH_FIELD_NUMBER: _ClassVar[int]
    FILING_FIELD_NUMBER: _ClassVar[int]
    LOST_TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_KIND_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ok: int
    text: str
    steward_pid: int
    killer_pid: int
    ring_fd: int
    armed: int
    observe: int
    layers: int
    config_generation: int
    kills: int
    records: int
    lost: int
    candidates: int
    ring_slots: int
    ring_offset: int
    record_bytes: int
    trace_path: str
    triggers: _containers.RepeatedScalarFieldContainer[bytes]
    config_hash: str
    filing: str
    lost_triggers: _containers.RepeatedScalarFieldContainer[str]
    domain_kind: int
    waiting: int
    notes: _containers.RepeatedScalarFieldContainer[bytes]
    domain: str
    def __init__(self, ok: _Optional[int] = ..., text: _Optional[str] = ..., steward_pid: _Optional[int] = ..., killer_pid: _Optional[int] = ..., ring_fd: _Optional[int] = ..., armed: _Optional[int] = ..., observe: _Optional[int] = ..., layers: _Optional[int] = ..., config_generation: _Optional[int] = ..., kills: _Optional[int] = ..., records: _Optional[int] = ..., lost: _Optional[int] = ..., candidates: _Optional[int] = ..., ring_slots: _Optional[int] = ..., ring_offset: _Optional[int] = ..., record_bytes: _Optional[int] = ..., trace_path: _Optional[str] = ..., triggers: _Optional[_Iterable[bytes]] = ..., config_hash: _Optional[str] = ..., filing: _Optional[str] = ..., lost_triggers: _Optional[_Iterable[str]] = ..., domain_kind: _Optional[int] = ..., waiting: _Optional[int] = ..., notes: _Optional[_Iterable[bytes]] = ..., domain: _Optional[str] = ...) -> None: ...
