"""SIGTERM, SIGINT and SIGHUP as bytes in a pipe, so that the steward has one place where it waits."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os


def signal_pipe() -> int:
    """Readable when a signal came; each byte is a number."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return read_end
