"""Boards and daemons that end with their test, whatever happened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from tests.daemon.driver import Daemon


@pytest.fixture
def board() -> Iterator[Sandbox]:
    """A 256 MiB domain; the kernel's OOM killer must not have acted in it."""
    with Sandbox(limit_mib=256) as made:
        yield made
        assert made.oom_kills() == 0, "the kernel's OOM killer acted"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """start(board, *options, policy=..., **monitor) -> an armed daemon guarding that board."""
    daemons: list[Daemon] = []

    def begin(board: Sandbox, *options: str, policy: PolicyConfig | None = None, **monitor: Any) -> Daemon:
        board.write_root(str(tmp_path), Config(policy or PolicyConfig(), board.monitor_config(**monitor)))
        daemons.append(Daemon(tmp_path, *options))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.end()
