"""Files of the state root, switched by rename and synced."""

from __future__ import annotations

import fcntl
import os


class Failed(Exception):
    """A step that did not work, in one line."""


def read(path: str) -> bytes:
    """Contents."""
    with open(path, "rb") as file:
        return file.read()


def write(path: str, data: bytes) -> None:
    """Contents by rename, on disk."""
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(path + ".new", path)
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Renames in it on disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lock(root: str) -> int:
    """Wait until nobody else changes this state root; an fd that holds it until it is closed."""
    fd = os.open(os.path.join(root, "lmkctl.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd
