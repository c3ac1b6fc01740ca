"""proto/, the value types and the generated code say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from lmkd_py.core.config import DomainKind, MonitorConfig, PolicyConfig
from lmkd_py.core.vocabulary import PolicyKind
from lmkd_py.pb import config_pb2, control_pb2, trace_pb2
from lmkd_py.wire import control, header
from lmkd_py.wire.config import Stored
from lmkd_py.wire.layout import Shape
from lmkd_py.wire.record import SHAPE
from tests.support import REPO_ROOT
from tools.gen_pb import SCHEMAS, generate

PARTS = tuple(part for part in MonitorConfig() if hasattr(part, "_fields"))
MESSAGES = [
    (Stored, config_pb2.Config),
    (PolicyConfig, config_pb2.PolicyConfig),
    (MonitorConfig, config_pb2.MonitorConfig),
    *((type(part), getattr(config_pb2, type(part).__name__)) for part in PARTS),
    (header.Header, trace_pb2.Header),
    (header.Layer, trace_pb2.Layer),
    (header.ArmedTrigger, trace_pb2.ArmedTrigger),
    (header.Process, trace_pb2.Process),
    (header.Note, trace_pb2.Note),
    (header.Strike, trace_pb2.Strike),
    (control.Request, control_pb2.Request),
    (control.Reply, control_pb2.Reply),
]
KINDS = {
    int: (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_ENUM),
    str: (FieldDescriptor.TYPE_STRING,),
    bytes: (FieldDescriptor.TYPE_BYTES,),
}


def shapes(shape: Shape) -> list[Shape]:
    """This shape and all shapes nested in it."""
    return [shape, *(found for inner in shape.nested.values() for found in shapes(inner))]


def numbered(names: tuple[str, ...]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, 1)}


@pytest.mark.parametrize("shape", shapes(SHAPE), ids=lambda shape: shape.cls.__name__)
def test_a_record_has_the_fields_of_core_by_name_and_number(shape: Shape) -> None:
    described = getattr(trace_pb2, shape.cls.__name__).DESCRIPTOR
    assert {field.name: field.number for field in described.fields} == numbered(shape.names), (
        f"add the new field of {shape.cls.__name__} to proto/trace.proto with the next number, then: make proto"
    )
    for field in described.fields:
        inner = shape.nested.get(field.name)
        if inner is None:
            assert field.type == FieldDescriptor.TYPE_SFIXED64, field.name
            assert field.has_presence, f"{field.name}: without `optional` stock protobuf would leave a 0 out"
        else:
            assert field.message_type.name == inner.cls.__name__
            assert field.is_repeated == bool(inner.rows)


@pytest.mark.parametrize(("cls", "message"), MESSAGES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_message_has_the_fields_of_its_tuple_by_name_number_and_kind(cls: Any, message: Any) -> None:
    fields = message.DESCRIPTOR.fields
    assert {field.name: field.number for field in fields} == numbered(cls._fields)
    for field in fields:
        default = cls._field_defaults[field.name]
        assert field.is_repeated == (default == ()), field.name
        plain = next((KINDS[kind] for kind in KINDS if isinstance(default, kind)), None)
        if plain:
            assert field.type in plain, field.name
        elif default != ():
            assert field.message_type.name == type(default).__name__


def test_numbers_with_names_have_the_same_names() -> None:
    assert dict(config_pb2.PolicyKind.items()) == {member.name: int(member) for member in PolicyKind}
    for enum, cls in ((config_pb2.DomainKind, DomainKind), (control_pb2.Verb, control.Verb)):
        ours = {name: value for name, value in vars(cls).items() if name.isupper()}
        assert {name.replace("VERB_", ""): value for name, value in enum.items()} == ours


def test_every_tunable_names_its_default() -> None:
    text = (REPO_ROOT / "proto" / "config.proto").read_text()
    messages: tuple[Any, ...] = (PolicyConfig, MonitorConfig, *map(type, PARTS))
    for cls in messages:
        body = text[text.index(f"message {cls.__name__} {{") :]
        for name, default in cls._field_defaults.items():
            if default in PARTS:
                continue
            comment = re.search(r"((?:  //[^\n]*\n)+)  optional \w+ " + name + " = ", body)
            assert comment, f"{name} has no comment"
            said = re.search(r"Default (-?\w+)\.", comment.group(1))
            assert said, f"the comment of {name} names no default"
            names = {**dict(config_pb2.PolicyKind.items()), **dict(config_pb2.DomainKind.items()), "empty": ""}
            named = said.group(1)
            assert (names[named] if named in names else int(named)) == default, name


def essence(text: str) -> str:
    """Generated code without the version of the compiler."""
    return re.sub(r"# Protobuf Python Version: .*\n|^    \d+,\n", "", text, flags=re.MULTILINE)


def test_the_generated_code_is_what_the_schemas_generate(tmp_path: Path) -> None:
    assert {path.name for path in (REPO_ROOT / "proto").iterdir()} == set(SCHEMAS)
    generate(tmp_path)
    fresh = {path.name: essence(path.read_text()) for path in tmp_path.iterdir()}
    kept = {path.name: essence(path.read_text()) for path in (REPO_ROOT / "lmkd_py" / "pb").glob("*_pb2.py*")}
    assert fresh == kept, "proto/ and lmkd_py/pb differ: make proto"
