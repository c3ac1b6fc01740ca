"""Sentences about what somebody put into our files: few are shown, all are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 8


class Complaints(list[str]):
    """The first eight sentences; `more` counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0

    def append(self, sentence: str) -> None:
        """Add a sentence; beyond the limit it is only counted."""
        if len(self) < SHOWN:
            super().append(sentence)
        else:
            self.more += 1

    def extend(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.append(sentence)

    def clear(self) -> None:
        super().clear()
        self.more = 0

    def told(self) -> list[str]:
        """The sentences, and one for how many were left out."""
        return [*self, *([f"and {self.more} more"] if self.more else [])]
