"""One call that finds no memory, anywhere in the steward: the nth that its code makes fails, once."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STEWARD = os.path.join("lmkd_py", "daemon", "")
# What the kernel may answer with ENOMEM, by the name of the function that asks it.
SYSTEM_CALLS = {
    *("open", "read", "write", "dup", "listdir", "pread", "pwrite", "stat", "fstat", "fork", "register", "poll"),
    *("sendmsg", "send", "recv", "_accept", "pidfd_open", "memfd_create", "eventfd", "ftruncate", "socketpair"),
}
NEW_INODES = {"_accept", "socketpair"}  # the kernel calls a missing inode of theirs ENFILE (net/socket.c, fs/pipe.c)
# Needs no memory, and cleans up after what did.
NEVER = {"close", "unregister", "pop", "get", "discard", "fileno", "isinstance", "len", "is_shortage", "clear"}
NEVER |= {"release"}


class Scarcity:
    """`met` counts the calls that could have failed."""

    def __init__(self, nth: int, kernel: bool) -> None:
        self.nth = nth
        self.kernel = kernel
        self.met = 0

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """See sys.setprofile; an exception from here is one of the call."""
        if event == "c_call":
            caller, name = frame, argument.__name__
        elif event == "call" and frame.f_back is not None and STEWARD not in frame.f_code.co_filename:
            # Calling a function of its own takes no memory by itself; what that calls is met in turn.
            caller, name = frame.f_back, frame.f_code.co_name
        else:
            return
        if STEWARD not in caller.f_code.co_filename or name in NEVER:
            return
        if self.kernel and name not in SYSTEM_CALLS:
            return
        self.met += 1
        if self.met == self.nth:
            if self.kernel:
                code = errno.ENFILE if name in NEW_INODES else errno.ENOMEM
                raise OSError(code, os.strerror(code))
            raise MemoryError


@contextmanager
def scarcity(nth: int, kernel: bool) -> Iterator[Scarcity]:
    """Within it the nth call fails: a system call with ENOMEM, or any call with MemoryError. 0: none does."""
    made = Scarcity(nth, kernel)
    sys.setprofile(made.profile)
    try:
        yield made
    finally:
        sys.setprofile(None)
