"""Ctrl-C: what it does before there is a handler of our own, and in a command that has something to take back.

Python raises KeyboardInterrupt by default, which shows a traceback wherever it happens to be. A shell's background
jobs ignore SIGINT; that stays so.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
from collections.abc import Callable  # not from typing, which takes longer to load than all else before a start


def ends_us() -> None:
    """From here on Ctrl-C ends this process as the signal does, in silence."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def unwound(command: Callable[[list[str]], int], words: list[str]) -> int:
    """Carry out a command whose `finally` blocks have to run on Ctrl-C too; then end as the signal does."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return command(words)
    except KeyboardInterrupt:
        ends_us()
        os.kill(os.getpid(), signal.SIGINT)
        return 130  # where the signal is blocked
