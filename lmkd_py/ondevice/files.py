"""Files of the state root, switched by rename and synced."""

from __future__ import annotations

import fcntl
import os

from ..wire.pending import sync_directory, write
from ..wire.state_file import read_state_file

__all__ = ["Failed", "lock", "read", "read_proc", "sync_directory", "write"]

MAX_BYTES = 1 << 16


class Failed(Exception):
    """A step failed; the text says why, in one line."""


def read(path: str) -> bytes:
    """The bytes of a file of the state root. Raises OSError, also for what somebody else may have written."""
    return read_state_file(path, MAX_BYTES)


def read_proc(path: str) -> bytes:
    """The bytes of a file of /proc. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(MAX_BYTES)


def lock(root: str) -> int:
    """An fd that keeps others from changing this state root until it is closed."""
    fd = os.open(os.path.join(root, "lmkctl.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd
