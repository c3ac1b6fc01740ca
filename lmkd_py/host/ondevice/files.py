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


def lock(root: str, wait: bool = True) -> int:
    """An fd that keeps others from changing this state root until it is closed. Without `wait` -1 if somebody does."""
    fd = os.open(os.path.join(root, "lmkctl.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        return -1
    return fd
