"""The state root: nobody but root or its owner may change what lies there, and one daemon at a time uses it."""

from __future__ import annotations

import fcntl
import os
import stat
from errno import EDQUOT, EEXIST, EIO, ENOSPC, EPERM, EROFS

from ..kernel.acting.process import read_stat

LOCK = "lock"
LOCK_BYTES = 64  # it says who holds it: pid and start_ticks
DISK_REFUSES = (ENOSPC, EROFS, EDQUOT, EIO)  # what guarding goes on without: the disk, not the file, is in the way
_LOCK_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def make_root(root: str) -> None:
    """Make it if it is missing. OSError, with what to do, where others own it or may write to it."""
    os.makedirs(root, mode=0o700, exist_ok=True)
    about, own = os.stat(root), os.geteuid()
    if about.st_uid not in (0, own):
        wanted = "root" if own == 0 else f"root or user {own}"
        raise OSError(EPERM, f"it belongs to user {about.st_uid}, wanted {wanted}; chown {own} {root}", root)
    if about.st_mode & 0o022:
        mode = stat.S_IMODE(about.st_mode)
        raise OSError(EPERM, f"others may write to it (mode {mode:04o}); chmod go-w {root}", root)


def lock_root(root: str) -> int:
    """A descriptor that holds the root until it is closed. BlockingIOError: another daemon has it; OSError.

    On a disk that refuses the lock's file the directory itself is locked.
    """
    path = os.path.join(root, LOCK)
    try:
        fd = _locked(_open(path))
    except OSError as error:
        if error.errno not in DISK_REFUSES:
            raise
    else:
        _sign(fd)
        return fd
    return _locked(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDWR | _LOCK_FLAGS)
    except FileNotFoundError:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _LOCK_FLAGS, 0o600)  # it may be there by now: two start at once
    except OSError as error:
        if error.errno != EROFS:
            raise
        fd = os.open(path, os.O_RDONLY | _LOCK_FLAGS)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(EEXIST, "found no regular file; remove it", path)
    return fd


def _sign(fd: int) -> None:
    try:  # in full from the start: a disk without room does not matter later
        os.pwrite(fd, f"{os.getpid()} {read_stat(os.getpid()).start_ticks}".encode().ljust(LOCK_BYTES, b"\n"), 0)
    except OSError:
        pass  # whoever looks for the holder asks the control socket


def _locked(fd: int) -> int:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd
