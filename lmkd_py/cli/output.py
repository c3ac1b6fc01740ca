"""How lmkctl prints: names that other processes chose are made harmless, and nothing is read as markup."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable

PIPE = "broken pipe"  # whoever read our output has left: no error to tell of


class CliError(Exception):
    """An expected failure: one line, and the exit code. 1: it was looked at and is not so. 2: bad usage or input."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code


def safe(text: str) -> str:
    """The text with everything that is no printable character spelled out: a name must not move the cursor.

    str.isprintable() is false for control characters, line ends, bidirectional overrides and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def end_streams() -> str:
    """Write out what was printed; why that failed, or nothing. What cannot be written is thrown away.

    The interpreter would try again at its end, and print a traceback of its own.
    """
    why = ""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except ValueError:  # closed
            pass
        except OSError as error:
            if number == 1:
                why = PIPE if error.errno == errno.EPIPE else f"{error.filename or 'standard output'}: {error.strerror}"
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, number)
            os.close(nothing)
    return why


def say(text: str = "", style: str = "") -> None:
    """Print one line to stdout, made safe."""
    if not style:
        say_lines([text])
        return
    from rich.text import Text

    from .terminal import console

    console.print(Text(safe(text), style=style))


def say_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout, made safe: as rich would, in a tenth of the time."""
    print("\n".join(map(safe, lines)), flush=True)


def warn(text: str) -> None:
    """Print one line to stderr, made safe."""
    from rich.text import Text

    from .terminal import errors

    errors.print(Text(f"lmkctl: {safe(text)}"))
