"""The output of a command that ends: where nobody reads it, or a disk is full, no traceback comes of it."""

from __future__ import annotations

import os
import sys
from typing import Callable

from .inherited import EXIT_BROKEN, reason_of, say

PIPE_CODE = 141  # as of a program that SIGPIPE ended


def carry_out(command: Callable[[list[str]], None], words: list[str]) -> int:
    """Run a command that prints and exits; its exit code, or another where its output found no way out."""
    code = 0
    try:
        try:
            command(words)
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else EXIT_BROKEN if leave.code else 0
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:
        code = code or PIPE_CODE
    except OSError as error:
        code = code or EXIT_BROKEN
        say(f"lmkd-py: {'' if error.filename else 'output: '}{reason_of(error)}", sys.stderr)
    _throw_away()
    return code


def _throw_away() -> None:
    # What cannot be written would fail once more when the interpreter ends.
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(null, number)
            os.close(null)
