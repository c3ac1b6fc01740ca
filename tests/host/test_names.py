"""What a device calls itself never becomes a path, and two devices never share a directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lmkd_py.host.names import MAX_NAME, file_name

ANY_TEXT = st.text(max_size=200)
SPECIAL = ["..", ".", "", "/", "../../etc/passwd", "a/b", "a\0b", "-rf", "$(id)", "a\nb", "%2E", "\ud800", "x" * 500]


@given(ANY_TEXT)
def test_a_name_is_one_component(name: str) -> None:
    made = file_name(name)
    assert 0 < len(made) <= MAX_NAME
    assert os.path.normpath(f"/out/{made}") == f"/out/{made}"
    assert not made.startswith(".")
    assert made.isascii()
    assert made.isprintable()


@given(ANY_TEXT, ANY_TEXT)
def test_two_names_stay_two(one: str, other: str) -> None:
    assume(one != other)
    assert file_name(one) != file_name(other)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_names_can_be_made(tmp_path: Path, name: str) -> None:
    (tmp_path / file_name(name)).mkdir()
    assert len(list(tmp_path.iterdir())) == 1


def test_ordinary_serials_stay_as_they_are() -> None:
    assert file_name("127.0.0.1:5600") == "127.0.0.1:5600"
    assert file_name("emulator-5554") == "emulator-5554"
