"""Constant offsets out of value types: a NamedTuple of ints becomes a protobuf message of sfixed64 fields.

The n-th field of the tuple has field number n; nothing else is written down here, so a field appended to a
value of core needs one new line in proto/trace.proto and no other change.
"""

from __future__ import annotations

from typing import Any, NamedTuple

# Wire types of the protobuf encoding (protobuf.dev, "Encoding").
WIRE_FIXED64 = 1
WIRE_BYTES = 2
FIXED64_BYTES = 8
NO_ROWS = -1


def varint(value: int) -> bytes:
    """An unsigned base-128 varint; a negative int64 is written as its 64-bit two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    """The varint before a field: its number and wire type."""
    return varint(number << 3 | wire_type)


class Shape:
    """A message: its value type, and which of its fields are messages.

    `rows` 0 is one message, NO_ROWS a list without any, else a fixed list.
    """

    def __init__(self, cls: Any, rows: int = 0, **nested: Shape) -> None:
        self.cls = cls
        self.rows = rows
        self.nested = nested
        self.names: tuple[str, ...] = cls._fields

    def size(self) -> int:
        """Bytes of the body, without the key and length in front of it."""
        return sum(len(constant) + FIXED64_BYTES for constant, _ in self.leaves())

    def leaves(self, ahead: bytes = b"", path: str = "") -> list[tuple[bytes, str]]:
        """Every number in order: (the constant bytes before it, its name)."""
        out: list[tuple[bytes, str]] = []
        for position, name in enumerate(self.names):
            inner = self.nested.get(name)
            number = position + 1
            if inner is None:
                out.append((ahead + tag(number, WIRE_FIXED64), path + name))
                ahead = b""
                continue
            head = tag(number, WIRE_BYTES) + varint(inner.size())
            for row in range(inner.rows or 1):
                label = f"{path}{name}[{row}]." if inner.rows else f"{path}{name}."
                out += inner.leaves(ahead + head, label)
                ahead = b""
        return out

    def build(self, numbers: list[int], at: int = 0) -> tuple[Any, int]:
        """The value out of the numbers of leaves(), and the index behind its last one."""
        fields: list[Any] = []
        for name in self.names:
            inner = self.nested.get(name)
            if inner is None:
                fields.append(numbers[at])
                at += 1
            elif not inner.rows:
                value, at = inner.build(numbers, at)
                fields.append(value)
            else:
                rows = []
                for _ in range(inner.rows):
                    value, at = inner.build(numbers, at)
                    if value[0]:  # a zero row is padding
                        rows.append(value)
                fields.append(tuple(rows))
        return self.cls(*fields), at


class Layout(NamedTuple):
    """A message as one struct format, with the constants between its numbers."""

    format: str  # of struct: constant, number, constant, number, ...
    constants: tuple[bytes, ...]
    names: tuple[str, ...]


def layout_of(shape: Shape) -> Layout:
    """The constant layout of a top-level message; little-endian, unpadded, as protobuf has it."""
    leaves = shape.leaves()
    return Layout(
        "<" + "".join(f"{len(constant)}sq" for constant, _ in leaves),
        tuple(constant for constant, _ in leaves),
        tuple(name for _, name in leaves),
    )


def spans(cls: Any, *names: str) -> dict[str, slice]:
    """Slices of the plain fields around the named nested ones: key = the name that follows, '' for the last."""
    out: dict[str, slice] = {}
    start = 0
    for name in names:
        position = cls._fields.index(name)
        out[name] = slice(start, position)
        start = position + 1
    out[""] = slice(start, None)
    return out
