"""Control files of cgroups, read and written whole. Start-up only: every call opens a file."""

from __future__ import annotations

import os

UNLIMITED = 1 << 60  # v1 says "no limit" with a number near 2^63


def read(directory: str, name: str) -> str:
    """Text of a control file. Raises OSError."""
    # Bytes: a codec is one more module to find, and whoever may not read the interpreter's library has none.
    with open(os.path.join(directory, name), "rb") as file:
        return file.read().decode()


def write(directory: str, name: str, text: str) -> None:
    """Write one value to a control file. Raises OSError."""
    with open(os.path.join(directory, name), "wb", buffering=0) as file:
        file.write(text.encode())


def limited_below(top: str, own: str, name: str) -> str | None:
    """The highest cgroup on the way from `top` down to `own` that has a limit; leaving it means to go to its parent."""
    directory = top
    for part in own.strip("/").split("/"):
        directory = os.path.join(directory, part)
        try:
            text = read(directory, name).strip()
        except FileNotFoundError:
            continue
        if text.isdigit() and int(text) < UNLIMITED:
            return directory
    return None
