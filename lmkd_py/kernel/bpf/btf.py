"""Reads the kernel's own type information: where a member lies, what a constant is, which number a function has.

Allocates megabytes; loader's child only. One pass over the types notes where each begins and keeps the ids of wanted
names; nothing else is built.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PATH = "/sys/kernel/btf/vmlinux"

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC = range(1, 13)
FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(13, 20)

# Bytes behind the 12 of struct btf_type: fixed, and for each of its vlen entries (include/uapi/linux/btf.h).
_EXTRA = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_HEADER = struct.Struct("<HBBIIIII")
_SAME_AS = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG)


class Member(NamedTuple):
    """Offset, type and name of one member of a struct or union."""

    offset: int  # bytes
    type_id: int


class Btf:
    """Type information in `raw`; `names` are the types and functions that will be asked for.

    ValueError with one line if it is damaged or of a kind we do not know.
    """

    def __init__(self, raw: bytes, names: Iterable[str]) -> None:
        try:
            magic, version, _, header, types, types_size, strings, strings_size = _HEADER.unpack_from(raw)
            if magic != 0xEB9F or version != 1:
                raise ValueError(f"kernel BTF begins with {raw[:3]!r}; wanted magic 0xeb9f, version 1")
            self._raw = raw
            self._strings = header + strings
            self._end = min(len(raw), self._strings + strings_size)
            self._places = array("I", (0,))  # byte where type id begins; id 0 is void
            self._ids: dict[tuple[str, int], int] = {}
            self._walk(header + types, header + types + types_size, {self._find(name): name for name in names})
        except (struct.error, KeyError, IndexError) as error:
            raise ValueError(f"kernel BTF is damaged or newer than we know: {error!r}") from None

    def _find(self, name: str) -> int:
        # Offset of a name in the string section; -1 if nothing is called so.
        found = self._raw.find(b"\0" + name.encode("ascii") + b"\0", self._strings, self._end)
        return found + 1 - self._strings if found >= 0 else -1

    def _walk(self, place: int, end: int, wanted: dict[int, str]) -> None:
        wanted.pop(-1, None)
        raw, unpack, places = self._raw, _TYPE.unpack_from, self._places
        sizes = [_EXTRA.get(kind, 0) for kind in range(32)]
        each = [_EACH.get(kind, 0) for kind in range(32)]
        while place < end:
            name, info, _ = unpack(raw, place)
            kind = info >> 24 & 31
            if not INT <= kind <= ENUM64:
                raise ValueError(f"kernel BTF has a type of kind {kind} at byte {place}; wanted 1 to {ENUM64}")
            if name in wanted:
                self._ids.setdefault((wanted[name], kind), len(places))
            places.append(place)
            place += 12 + sizes[kind] + each[kind] * (info & 0xFFFF)

    def _type(self, type_id: int) -> tuple[int, int, int]:
        # (kind, vlen, size or type) of a type.
        if not 0 < type_id < len(self._places):
            raise ValueError(f"kernel BTF refers to type {type_id}; it has {len(self._places) - 1}")
        _, info, size = _TYPE.unpack_from(self._raw, self._places[type_id])
        return info >> 24 & 31, info & 0xFFFF, size

    def _name(self, offset: int) -> bytes:
        start = self._strings + offset
        return self._raw[start : self._raw.find(b"\0", start)]

    def function(self, name: str) -> int:
        """Id of a kernel function; 0 if this kernel has none of that name."""
        return self._ids.get((name, FUNC), 0)

    def struct(self, name: str) -> int:
        """Id of a struct; ValueError if this kernel has none of that name."""
        found = self._ids.get((name, STRUCT), 0)
        if not found:
            raise ValueError(f"kernel BTF has no struct {name}")
        return found

    def constant(self, enum: str, name: str) -> int:
        """Value of an enumerator; ValueError if there is none."""
        found = self._ids.get((enum, ENUM), 0)
        if found:
            place = self._places[found] + 12
            for number in range(self._type(found)[1]):
                offset, value = struct.unpack_from("<Ii", self._raw, place + 8 * number)
                if self._name(offset) == name.encode("ascii"):
                    return int(value)
        raise ValueError(f"kernel BTF has no {name} in enum {enum}")

    def resolved(self, type_id: int) -> int:
        """The type behind typedefs and qualifiers."""
        for _ in range(64):
            kind, _, target = self._type(type_id)
            if kind not in _SAME_AS:
                return type_id
            type_id = target
        raise ValueError(f"kernel BTF type {type_id} is a circle of typedefs")

    def size(self, type_id: int) -> int:
        """Bytes of a struct, union or integer; of an array all its elements; of a pointer 8."""
        kind, _, size = self._type(self.resolved(type_id))
        if kind == ARRAY:
            element, count = self.array(type_id)
            return self.size(element) * count
        return 8 if kind == PTR else size

    def array(self, type_id: int) -> tuple[int, int]:
        """(element type, count) of an array; ValueError for another kind."""
        type_id = self.resolved(type_id)
        if self._type(type_id)[0] != ARRAY:
            raise ValueError(f"kernel BTF type {type_id} is no array")
        element, _, count = struct.unpack_from("<III", self._raw, self._places[type_id] + 12)
        return element, count

    def _members(self, type_id: int) -> Iterator[tuple[int, int, int]]:
        kind, vlen, _ = self._type(type_id)
        if kind not in (STRUCT, UNION):
            raise ValueError(f"kernel BTF type {type_id} is no struct")
        info = _TYPE.unpack_from(self._raw, self._places[type_id])[1]
        for number in range(vlen):
            name, member_type, offset = _MEMBER.unpack_from(self._raw, self._places[type_id] + 12 + 12 * number)
            bits = offset & 0xFFFFFF if info >> 31 else offset  # kind_flag: the upper byte is a bit field's width
            yield name, member_type, bits // 8

    def member(self, type_id: int, *names: str) -> Member:
        """The first of `names` (a member renamed over time) that the struct has, also inside anonymous members."""
        found = self._find_member(self.resolved(type_id), [name.encode("ascii") for name in names], 0)
        if found is None:
            raise ValueError(f"kernel BTF type {type_id} has no member {' or '.join(names)}")
        return found

    def _find_member(self, type_id: int, names: list[bytes], depth: int) -> Member | None:
        for name, member_type, offset in self._members(type_id):
            if name:
                if self._name(name) in names:
                    return Member(offset, member_type)
            elif depth < 8:
                inner = self.resolved(member_type)
                if self._type(inner)[0] in (STRUCT, UNION):
                    found = self._find_member(inner, names, depth + 1)
                    if found is not None:
                        return Member(offset + found.offset, found.type_id)
        return None
