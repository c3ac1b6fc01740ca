"""A small protobuf codec for messages that are not on the kill path: named tuples in, bytes out, and back.

The message is derived from a NamedTuple whose fields all have defaults: the n-th field has number n, and the default
says its kind (int: varint, str, bytes, a named tuple: message, an empty tuple: repeated). A field that is missing in
the bytes has its default; a repeated occurrence of a plain field wins, as protobuf.dev demands.
"""

from __future__ import annotations

from typing import Any

from .layout import WIRE_BYTES, WIRE_FIXED64, tag, varint

WIRE_VARINT = 0
WIRE_FIXED32 = 5
_SKIPS = {WIRE_FIXED64: 8, WIRE_FIXED32: 4}
_INT64 = 1 << 63


class MessageError(ValueError):
    """Bytes that are no such message, or a value that has no bytes: where, what was found, what was wanted."""

    def __init__(self, where: str, found: object, wanted: str) -> None:
        super().__init__(f"{where}: found {found}, wanted {wanted}")
        self.where = where
        self.found = found
        self.wanted = wanted


class Message:
    """Codec of one named tuple. `repeated` gives the tuple class, or the codec, of repeated messages; else str.

    `strict`: a field number that is not known is an error; else it is skipped, so that newer files can be read.
    """

    def __init__(self, cls: Any, strict: bool = False, **repeated: Any) -> None:
        self.cls = cls
        self.strict = strict
        self.name = cls.__name__
        self.fields: tuple[str, ...] = cls._fields
        self.defaults: dict[str, Any] = cls._field_defaults
        self.inner: dict[str, Message] = {
            name: inner if isinstance(inner, Message) else Message(inner, strict) for name, inner in repeated.items()
        }
        for name in self.fields:
            if hasattr(self.defaults[name], "_fields"):
                self.inner[name] = Message(type(self.defaults[name]), strict)

    def encode(self, value: Any) -> bytes:
        """All fields, also those that have their default: what is in force stands in the bytes."""
        out = bytearray()
        for number, name in enumerate(self.fields, 1):
            field = getattr(value, name)
            many = field if self._is_repeated(name) else (field,)
            for one in many:
                if isinstance(one, int):
                    if not -_INT64 <= one < _INT64:
                        raise MessageError(f"{self.name}.{name}", one, "a signed 64-bit number")
                    out += tag(number, WIRE_VARINT) + varint(one)
                    continue
                if isinstance(one, str):
                    data = one.encode("utf-8", "replace")
                else:
                    data = one if isinstance(one, bytes) else self.inner[name].encode(one)
                out += tag(number, WIRE_BYTES) + varint(len(data)) + data
        return bytes(out)

    def decode(self, data: bytes) -> Any:
        """The value; MessageError for anything that is not this message."""
        return self._build(self._gather(data, {}))

    def _is_repeated(self, name: str) -> bool:
        return bool(self.defaults[name] == ())

    def _gather(self, data: bytes, values: dict[str, Any]) -> dict[str, Any]:
        """Fields of `data` laid over `values`; messages as dictionaries, since they may come in pieces."""
        at, end = 0, len(data)
        while at < end:
            start = at
            key, at = self._varint(data, at)
            number, wire = key >> 3, key & 7
            body: Any
            if wire == WIRE_VARINT:
                body, at = self._varint(data, at)
            else:
                length, at = (_SKIPS.get(wire, -1), at) if wire != WIRE_BYTES else self._varint(data, at)
                if length < 0 or at + length > end:
                    found = f"wire type {wire}" if length < 0 else f"{end - at} bytes"
                    raise MessageError(f"{self.name} at byte {start}", found, "a whole field")
                body, at = data[at : at + length], at + length
            if not 1 <= number <= len(self.fields):
                if self.strict or number == 0:
                    raise MessageError(f"{self.name} field {number}", "it", f"fields 1 to {len(self.fields)}")
                continue
            self._put(values, number, wire, body)
        return values

    def _put(self, values: dict[str, Any], number: int, wire: int, body: Any) -> None:
        name = self.fields[number - 1]
        default = self.defaults[name]
        wanted = WIRE_VARINT if isinstance(default, int) else WIRE_BYTES
        if wire != wanted:
            raise MessageError(f"{self.name}.{name} (field {number})", f"wire type {wire}", f"wire type {wanted}")
        if wire == WIRE_VARINT:
            values[name] = body - 2 * _INT64 if body >= _INT64 else body
            return
        inner = self.inner.get(name)
        if self._is_repeated(name):
            item = inner._build(inner._gather(body, {})) if inner else self._text(name, body)
            values.setdefault(name, []).append(item)
        elif inner:
            inner._gather(body, values.setdefault(name, {}))
        else:
            values[name] = body if isinstance(default, bytes) else self._text(name, body)

    def _build(self, values: dict[str, Any]) -> Any:
        for name, field in values.items():
            if isinstance(field, dict):
                values[name] = self.inner[name]._build(field)
            elif isinstance(field, list):
                values[name] = tuple(field)
        return self.cls(**values)

    def _text(self, name: str, body: bytes) -> str:
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MessageError(f"{self.name}.{name}", f"byte {error.start} of {len(body)} bytes", "UTF-8") from None

    def _varint(self, data: bytes, at: int) -> tuple[int, int]:
        value = shift = 0
        for position in range(at, min(at + 10, len(data))):
            byte = data[position]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if value >= 2 * _INT64:
                    break
                return value, position + 1
        raise MessageError(f"{self.name} at byte {at}", data[at : at + 10].hex() or "the end", "a varint of 64 bits")
