"""The one error of the board room."""

from __future__ import annotations


class SandboxError(Exception):
    """A board cannot be made or used here: one line that says what was found, what is wanted and how to get it."""
