"""What a board writes into a state root nobody else may write to, whatever the umask is: the daemon would refuse it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import replace_file
from lmkd_py.wire.state_file import read_state_file


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_a_file_of_a_board_is_read_under_every_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "config.bin"
    former = os.umask(umask)
    try:
        replace_file(str(path), b"first")
        replace_file(str(path), b"second")
    finally:
        os.umask(former)
    assert read_state_file(str(path), 100) == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
