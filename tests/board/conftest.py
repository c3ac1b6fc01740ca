"""Boards for the tests of this room: small, and gone when the test is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lmkd_py.board.sandbox import Sandbox


@pytest.fixture
def make_board() -> Iterator[Callable[..., Sandbox]]:
    """Call it with a limit in MiB to get a board; all of them are closed at the end."""
    with ExitStack() as stack:
        yield lambda limit_mib=128: stack.enter_context(Sandbox(limit_mib))
