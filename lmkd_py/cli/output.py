"""How lmkctl prints: names that other processes chose are made harmless, and nothing is read as markup."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


class CliError(Exception):
    """An expected failure: one line, and the exit code. 1: it was looked at and is not so. 2: bad usage or input."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code


def safe(text: str) -> str:
    """The text with everything that is no printable character spelled out: a name must not move the cursor.

    str.isprintable() is false for control characters, line ends, bidirectional overrides and lone surrogates.
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def say(text: str = "", style: str = "") -> None:
    """One line on stdout."""
    console.print(Text(safe(text), style=style))
