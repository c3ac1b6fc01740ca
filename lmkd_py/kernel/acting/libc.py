"""The C library through ctypes, and the one way a kernel function fails."""

from __future__ import annotations

import ctypes
import os
from typing import Any

# CDLL, not PyDLL: every call releases the GIL, so a waiting killer thread never holds it against a reaper.
LIBC = ctypes.CDLL(None, use_errno=True)


def oserror(syscall: str, subject: str = "", error: int = 0) -> OSError:
    """OSError that names the system call and what it was about; errno from `error`, else from the last call."""
    code = error or ctypes.get_errno()
    where = f"{syscall} {subject}" if subject else syscall
    return OSError(code, f"{where}: {os.strerror(code)}")


def function(name: str, restype: Any, *argtypes: Any) -> Any:
    """A libc function object of our own (not the cached attribute) with fixed argument types.

    Fixed types are what makes a call cheap; a private object keeps two users of one name from disagreeing on them.
    AttributeError where this libc has no such function.
    """
    bound = LIBC[name]
    bound.restype = restype
    bound.argtypes = argtypes
    return bound


def raw_syscall(*argtypes: Any) -> Any:
    """syscall(2) with these types after the number; returns -1 and sets errno on failure, as libc does."""
    return function("syscall", ctypes.c_long, ctypes.c_long, *argtypes)
