"""The steward as those see it who keep its killer alive: for the checker of types, so that they need not import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ....core.vocabulary import ABSENT

if TYPE_CHECKING:
    from ....core.config import Config
    from ....core.notes import Note
    from ..candidates.candidates import Candidates
    from ..filing.journal import Journal
    from .keeper import Killer


class Owner(Protocol):
    """One configuration, the killer that guards by it, and what is told of both."""

    config: Config
    killer: Killer
    candidates: Candidates
    journal: Journal

    @property
    def guarded(self) -> Config:
        """The configuration with the domain that AUTO stands for."""

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor."""

    def tell(self, note: Note) -> None:
        """Write a note into the trace, and in words into the log."""

    def lose_domain(self) -> None:
        """Nothing is left to guard."""

    def fork(self, required_layer: int = ABSENT) -> Killer:
        """A killer in stand-by."""

    def take_over(self, killer: Killer, former: Killer | None) -> None:
        """Everything to `killer`, then it is the one that is live."""
