from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A steward with a killer on paper."""
    made = Rig(tmp_path / "root")
    yield made
    made.close()
