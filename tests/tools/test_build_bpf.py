"""The BPF object that is shipped is what its source gives, byte for byte, by the compiler that is pinned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.build_bpf import OBJECT, build


@pytest.mark.all_suite
def test_the_shipped_object_is_what_the_source_gives(tmp_path: Path) -> None:
    fresh = tmp_path / "strike.o"
    build(fresh)
    assert fresh.read_bytes() == OBJECT.read_bytes(), "device/bpf has changed: make bpf, and commit the object"
