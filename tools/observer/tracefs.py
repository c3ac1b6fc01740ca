"""Where the kernel describes its tracepoints: finds or mounts tracefs, reads an event's number and field layout."""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass

PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
# `field:unsigned short common_type;	offset:0;	size:2;	signed:0;`, the same on every kernel since 2.6.29
FIELD = re.compile(
    r"field:(?P<type>.+?)\s*\b(?P<name>\w+)(\[\d*\])?;\s*offset:(?P<at>\d+);\s*size:(?P<size>\d+);\s*signed:(?P<s>\d)"
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a tracepoint's raw record: byte offset, size in bytes, how to read it."""

    name: str
    offset: int
    size: int
    signed: bool
    text: bool
    located: bool  # __data_loc: the field holds offset and length of text elsewhere in the record


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """Number and fields of a tracepoint in this kernel."""

    name: str  # "signal:signal_generate"
    number: int
    fields: tuple[Field, ...]

    def values(self, raw: memoryview) -> dict[str, int | str]:
        """Every field of one raw record; text is decoded with replacement, comm may hold any byte."""
        return {field.name: _value(field, raw) for field in self.fields}


def _value(field: Field, raw: memoryview) -> int | str:
    part = raw[field.offset : field.offset + field.size]
    if field.located:
        where = int.from_bytes(part, "little")
        part = raw[where & 0xFFFF : (where & 0xFFFF) + (where >> 16)]
    if field.text:
        return bytes(part).split(b"\0", 1)[0].decode("utf-8", "replace")
    return int.from_bytes(part, "little", signed=field.signed)


def tracefs() -> str:
    """Directory of tracefs, mounted when it is not yet (root; harmless, stays mounted). OSError: cannot be had."""
    for place in PLACES:
        if os.path.isdir(os.path.join(place, "events")):
            return place
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tracefs", PLACES[0].encode(), b"tracefs", 0, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount tracefs: {os.strerror(code)}", PLACES[0])
    return PLACES[0]


def tracepoint(name: str) -> Tracepoint:
    """The tracepoint `system:event`. OSError: this kernel does not have it, or we may not look."""
    system, event = name.split(":", 1)
    with open(os.path.join(tracefs(), "events", system, event, "format"), encoding="ascii") as stream:
        text = stream.read()
    number = int(re.search(r"^ID:\s*(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]  # every format has it
    return Tracepoint(name, number, tuple(_field(found) for found in FIELD.finditer(text)))


def _field(found: re.Match[str]) -> Field:
    kind = found["type"]
    return Field(
        found["name"],
        int(found["at"]),
        int(found["size"]),
        found["s"] == "1",
        "char" in kind and int(found["size"]) > 1,
        "__data_loc" in kind,
    )
