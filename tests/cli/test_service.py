"""What `lmkctl status` prints of a device's answer, whoever gives it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lmkd_py.cli import service
from lmkd_py.core.notes import Note
from lmkd_py.core.vocabulary import NoteKind

LAYERS_OFF = [
    Note(kind=NoteKind.LOCK_MEMORY_OFF, layer=1),
    Note(kind=NoteKind.POOL_NONE_HERE, number=228, layer=2),
    Note(kind=NoteKind.MEMORY_CGROUPS_ABSENT),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(Note._fields) | st.text(), inner),
    max_leaves=12,
)


def answer(**fields: Any) -> dict[str, Any]:
    notes = [note._asdict() for note in LAYERS_OFF]
    return {"running": True, "armed": 1, "layers": 1, "notes": notes, "filing": "", **fields}


def test_layers_that_are_off_notes_and_a_trace_that_is_not_written_have_a_line_each() -> None:
    assert service._standing(answer(filing="No space left on device")) == [
        "the trace is not written now: No space left on device",
        "layer 1 off (config): lock_memory 0: the killer can be paged out",
        "layer 2 not active: no private pool with 228 MiB of RAM, unless reserve_kb asks for one",
        "layer 3 not active",
        "layer 4 not active",
        "note no memory cgroups",
    ]


@pytest.mark.parametrize("armed", [0, None])
def test_of_a_daemon_that_is_not_armed_no_layer_is_missed(armed: int | None) -> None:
    assert not any(line.startswith("layer") for line in service._standing(answer(armed=armed, layers=0)))


@given(JSON, JSON, st.dictionaries(st.sampled_from(Note._fields), JSON).map(lambda note: [note]) | JSON)
@example(1, 1, [{"kind": NoteKind.POOL_REFUSED, "errno": "13", "layer": None}])
def test_whatever_a_device_answers_becomes_lines(armed: Any, layers: Any, notes: Any) -> None:
    lines = service._standing(answer(armed=armed, layers=layers, notes=notes))
    assert all(isinstance(line, str) for line in lines)
