"""Tests marked `alone` have the machine to themselves: the other workers wait between two of theirs meanwhile.

An emulated board under pressure is as slow as its host: beside two other lanes the kernel's own OOM killer was first.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def _lock(path: Path, how: int) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a process that the test forked has a copy of fd: closing ours is not enough
        os.close(fd)


@contextmanager
def turn(run: str, alone: bool) -> Iterator[None]:
    """One test's turn in the run of that name: beside others, or `alone`."""
    folder = Path(tempfile.gettempdir())
    gate, floor = folder / f"lmkd-gate-{run}", folder / f"lmkd-floor-{run}"
    if alone:
        with (
            _lock(gate, fcntl.LOCK_EX),
            _lock(floor, fcntl.LOCK_EX),
        ):  # the gate keeps newcomers out until it is our turn
            yield
        return
    with _lock(gate, fcntl.LOCK_SH):
        pass
    with _lock(floor, fcntl.LOCK_SH):
        yield


def tidy(run: str) -> None:
    """Remove the run's files."""
    for name in ("gate", "floor"):
        Path(tempfile.gettempdir(), f"lmkd-{name}-{run}").unlink(missing_ok=True)
