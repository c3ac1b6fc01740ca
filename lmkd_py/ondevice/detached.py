"""Processes that outlive the cable."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable

from .files import read

DAEMON = "lmkd_py.daemon"


def interpreter(root: str) -> str:
    """The Python that was chosen at installation; this one where none was."""
    try:
        return read(os.path.join(root, "interpreter")).decode().strip() or sys.executable
    except (OSError, UnicodeDecodeError):
        return sys.executable


def run_daemon(root: str, release: str, observe: bool, log: str) -> None:
    """Replace this process by the daemon, with its output in the log."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    # Not through `current`: a killer forked later must come from the release its steward is of.
    python = interpreter(root)
    words = [python, "-B", "-m", DAEMON, "run", "--root", root, *(["--observe"] if observe else [])]
    os.execve(python, words, {**os.environ, "PYTHONPATH": release})


def detach(work: Callable[[], None]) -> int:
    """Run `work` in a process that outlives this one and its terminal; its pid."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild:
            os.write(write_end, struct.pack("i", grandchild))
            os._exit(0)
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(nothing, fd)
            os.closerange(3, 256)
            os.chdir("/")
            work()
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    pid: int = struct.unpack("i", os.read(read_end, 4))[0]
    os.close(read_end)
    os.close(write_end)
    return pid
