"""The BPF objects that are shipped are what their sources give, byte for byte, by the compiler that is pinned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.build_bpf import OBJECTS, PROGRAMS, build


@pytest.mark.all_suite
def test_the_shipped_objects_are_what_the_sources_give(tmp_path: Path) -> None:
    build(tmp_path)
    for name in (f"{program}.o" for program in PROGRAMS):
        fresh, shipped = (tmp_path / name).read_bytes(), (OBJECTS / name).read_bytes()
        assert fresh == shipped, f"{name}: device/bpf has changed: make bpf, and commit the object"
