"""Reads a BPF object: its programs, its maps and what of either must be filled in. Loader's child only."""

from __future__ import annotations

import struct
from typing import NamedTuple

INSN_BYTES = 8
R_BPF_64_64, R_BPF_64_32 = 1, 10  # a map address; a call of a kernel function

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_MAP = struct.Struct("<5I")

_EM_BPF = 247
_SHT_SYMTAB, _SHT_REL = 2, 9
_NO_SECTION = 0


class MapDefinition(NamedTuple):
    """struct map_def, as the C source has it."""

    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


class Reference(NamedTuple):
    """An instruction that needs a map or a kernel function, by name."""

    instruction: int
    kind: int  # R_BPF_64_64 or R_BPF_64_32
    name: str


class Program(NamedTuple):
    """Instructions as they lie in the object, and what they refer to."""

    instructions: bytes
    references: tuple[Reference, ...]


class Object(NamedTuple):
    """Programs by section name and maps by symbol."""

    programs: dict[str, Program]
    maps: dict[str, MapDefinition]


class _Section(NamedTuple):
    name: str
    kind: int
    info: int
    data: bytes


def parse(raw: bytes) -> Object:
    """The object in `raw`. ValueError with one line if it is none of ours or damaged."""
    try:
        return _parse(raw)
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"BPF object is damaged: {error}; wanted the strike.o of this release") from None


def _parse(raw: bytes) -> Object:
    header = _HEADER.unpack_from(raw)
    if header[0][:6] != b"\x7fELF\x02\x01" or header[2] != _EM_BPF:
        raise ValueError(f"BPF object begins with {raw[:6]!r}; wanted a little-endian 64-bit ELF file for BPF")
    sections = _sections(raw, header)
    symbols = _symbols(raw, sections)
    programs: dict[str, Program] = {}
    for section in sections:
        if "/" in section.name and section.kind != _SHT_REL:
            if len(section.data) % INSN_BYTES:
                raise ValueError(f"BPF object: section {section.name} has {len(section.data)} bytes; wanted eights")
            programs[section.name] = Program(section.data, ())
    for section in sections:
        if section.kind == _SHT_REL and sections[section.info].name in programs:
            target = sections[section.info].name
            program = programs[target]
            programs[target] = program._replace(references=_references(section.data, symbols, program))
    maps = {
        name: MapDefinition(*_MAP.unpack_from(sections[index].data, value))
        for name, index, value in symbols
        if index != _NO_SECTION and index < len(sections) and sections[index].name == "maps"
    }
    return Object(programs, maps)


def _sections(raw: bytes, header: tuple[int, ...]) -> list[_Section]:
    table, count, names_index = header[6], header[12], header[13]
    rows = [_SECTION.unpack_from(raw, table + number * _SECTION.size) for number in range(count)]
    names = _cut(raw, rows[names_index][4], rows[names_index][5])
    sections = []
    for row in rows:
        data = b"" if row[1] == 8 else _cut(raw, row[4], row[5])  # SHT_NOBITS takes no room
        sections.append(_Section(_text(names, row[0]), row[1], row[7], data))
    return sections


def _symbols(raw: bytes, sections: list[_Section]) -> list[tuple[str, int, int]]:
    # (name, section, value) of every symbol. sh_link of the table is not kept: our objects have one string table.
    names = next((section.data for section in sections if section.name == ".strtab"), b"")
    table = next((section.data for section in sections if section.kind == _SHT_SYMTAB), b"")
    return [(_text(names, entry[0]), entry[3], entry[4]) for entry in _SYMBOL.iter_unpack(table)]


def _references(data: bytes, symbols: list[tuple[str, int, int]], program: Program) -> tuple[Reference, ...]:
    found = []
    for offset, info in _RELOCATION.iter_unpack(data):
        kind, name = info & 0xFFFFFFFF, symbols[info >> 32][0]
        if offset % INSN_BYTES or offset >= len(program.instructions):
            raise ValueError(f"BPF object: {name} is referred to at byte {offset}; wanted an instruction")
        found.append(Reference(offset // INSN_BYTES, kind, name))
    return tuple(found)


def _cut(raw: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(raw):
        raise ValueError(f"BPF object ends at byte {len(raw)}; wanted {offset + size}: it is cut off")
    return raw[offset : offset + size]


def _text(names: bytes, offset: int) -> str:
    return names[offset : names.index(b"\0", offset)].decode("ascii") if offset < len(names) else ""


def fill(program: Program, map_fds: dict[str, int], kernel_functions: dict[str, int]) -> bytes:
    """Instructions with descriptors and BTF ids filled in. ValueError naming a map or function we do not have."""
    code = bytearray(program.instructions)
    for reference in program.references:
        source = map_fds if reference.kind == R_BPF_64_64 else kernel_functions
        if reference.kind not in (R_BPF_64_64, R_BPF_64_32) or reference.name not in source:
            raise ValueError(f"BPF object refers to {reference.name!r} (kind {reference.kind}), which is not there")
        offset = reference.instruction * INSN_BYTES
        # BPF_PSEUDO_MAP_FD is 1, BPF_PSEUDO_KFUNC_CALL is 2: the upper half of the register byte.
        pseudo = 1 if reference.kind == R_BPF_64_64 else 2
        code[offset + 1] = code[offset + 1] & 0x0F | pseudo << 4
        struct.pack_into("<hi", code, offset + 2, 0, source[reference.name])
    return bytes(code)
