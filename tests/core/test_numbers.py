"""The plain numbers are the vocabulary's, each of them."""

from __future__ import annotations

from enum import IntEnum

import pytest

from lmkd_py.core import numbers
from lmkd_py.core.vocabulary import Action, KillReason, Level, PolicyKind, ReclaimState, WakeupKind, Watermark

# Names that several enums have get the enum's noun.
NAMES: dict[type[IntEnum], dict[str, str]] = {
    WakeupKind: {},
    Level: {name: f"{name}_LEVEL" for name in ("LOW", "MEDIUM", "CRITICAL")},
    Watermark: {name: f"{'NO' if name == 'NONE' else name}_MARK" for name in ("MIN", "LOW", "HIGH", "NONE")},
    ReclaimState: {"NONE": "NO_RECLAIM"},
    KillReason: {"NONE": "NO_REASON"},
    Action: {"NONE": "NOTHING"},
    PolicyKind: {},
}


@pytest.mark.parametrize("enum", NAMES, ids=lambda enum: str(enum.__name__))
def test_every_member_has_its_plain_number(enum: type[IntEnum]) -> None:
    for member in enum:
        plain = getattr(numbers, NAMES[enum].get(member.name, member.name))
        assert type(plain) is int
        assert plain == member


def test_no_plain_number_is_without_a_member() -> None:
    told = {names.get(member.name, member.name) for enum, names in NAMES.items() for member in enum}
    polling = {"KEEP", "START", "SLOW", "FAST"}
    assert {name for name in vars(numbers) if name.isupper()} == told | polling
