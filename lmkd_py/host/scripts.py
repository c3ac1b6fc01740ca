"""Small shell scripts and how they get their words: always as positional parameters, so nothing in them is executed.

They keep to what toybox, busybox and coreutils share. What they make is the user's alone until they say otherwise: a
shell of adbd's has umask 0.
"""

from __future__ import annotations

NEEDED = 9  # exit status of a script that found what it was given wanting


def script(text: str, *words: str) -> list[str]:
    """A command that runs `text` with $1, $2 ... as given."""
    return ["sh", "-c", f"umask 077; {text}", "sh", *words]
