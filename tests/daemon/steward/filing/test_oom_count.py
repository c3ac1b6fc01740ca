"""The trace says how often the kernel's own OOM killer struck in the guarded memory while the daemon ran."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.sandbox import Sandbox
from tests.daemon.driver import Daemon
from tests.support import require

pytestmark = pytest.mark.pressure
GREED = "import os, sys; open(sys.argv[1], 'w').write('0'); bytearray(os.urandom(1 << 20)) * 64"


@pytest.fixture
def corner(board: Sandbox) -> Iterator[Path]:
    """A group within the domain, of 16 MiB, where the kernel's OOM killer may act."""
    made = Path(board.place.memory) / "corner"
    require((made.parent / "memory.oom_control").exists(), "the memory controller of cgroup v1")
    made.mkdir()
    try:
        (made / "memory.limit_in_bytes").write_text(str(16 << 20))
        (made / "memory.oom_control").write_text("0")
        yield made
    finally:
        made.rmdir()


def test_kills_by_the_kernel_are_counted_in_the_trace(
    board: Sandbox, corner: Path, start: Callable[..., Daemon], tmp_path: Path
) -> None:
    assert greedy(corner) == -signal.SIGKILL  # before the daemon's time
    daemon = start(board, discovery={"scan": 0})
    for _ in range(2):
        assert greedy(corner) == -signal.SIGKILL
    assert daemon.stop() == 0
    (path,) = tmp_path.glob("traces/*/*.lmkt")
    trace = read_trace(path)
    assert trace.oom_kills == 2
    assert not trace.kills


def test_without_kills_by_the_kernel_the_count_is_zero(
    board: Sandbox, start: Callable[..., Daemon], tmp_path: Path
) -> None:
    assert start(board).stop() == 0
    (path,) = tmp_path.glob("traces/*/*.lmkt")
    assert read_trace(path).oom_kills == 0


def greedy(corner: Path) -> int:
    """Exit code of a process that wants four times what its group may have."""
    words = [sys.executable, "-c", GREED, str(corner / "cgroup.procs")]
    return subprocess.run(words, check=False, timeout=60).returncode
