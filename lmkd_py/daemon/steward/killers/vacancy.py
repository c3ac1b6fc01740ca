"""The killer has died: another one is forked, at once, and with pauses where killer after killer dies young.

Meanwhile the strike in the kernel stays armed. Nothing here ends the steward: what killers die of may be over in a
minute, and then somebody has to fork one.
"""

from __future__ import annotations

from errno import ENOMEM
from time import monotonic
from typing import TYPE_CHECKING

from ....core.notes import Note
from ....core.vocabulary import NoteKind
from ... import shared as layout
from ...hurry import hurry, take_turns
from ...inherited import EXIT_DOMAIN_GONE, EXIT_NO_MEMORY
from ..backoff import NEVER, Backoff
from .keeper import KillerFailed

if TYPE_CHECKING:
    from .owner import Owner

MAX_REFORKS = 20  # killers in a row that did not live for a second; beyond it they are forked with pauses
YOUNG_S = 1.0
AGAIN_S = 0.05


class Vacancy:
    """`pid` is that of a dead killer without successor; 0 while there is a killer."""

    def __init__(self) -> None:
        self.pid = 0
        self.young_deaths = 0
        self.forked_at = monotonic()
        self._retry = Backoff()
        self._said = ""

    def begin(self, steward: Owner) -> None:
        """Its killer's pidfd says that it has ended."""
        dead = steward.killer
        dead.reap()
        is_domain_gone = dead.shared.words[layout.EXIT_CODE] == EXIT_DOMAIN_GONE
        self.pid = 0 if is_domain_gone else dead.pid  # before anything that may fail: from here on it has a successor
        steward.candidates.outbox = None
        if dead.outbox is not None:
            dead.outbox.discard()
        steward.unwatch(dead.pidfd)  # it would say so for ever
        if is_domain_gone:
            steward.lose_domain()
            return
        steward.journal.note(NoteKind.KILLER_DIED, dead.shared.read_report().failure, dead.pid)
        if monotonic() - self.forked_at < YOUNG_S:
            self._count(steward, 0.0)
        else:
            self.young_deaths = 0
            self._retry.reset()

    def fill(self, steward: Owner) -> None:
        """Fork a successor if it is time. Raises OSError for want of memory, which is tried again at once."""
        if not self.pid or not self._retry.is_due():
            return
        hurry()  # nobody guards until another one is live; it inherits this until it has its own priority
        try:
            steward.take_over(steward.fork(), steward.killer)
        except KillerFailed as failure:
            if failure.code == EXIT_DOMAIN_GONE:
                self.pid = 0
                steward.lose_domain()
                return
            if failure.code == EXIT_NO_MEMORY:
                raise OSError(ENOMEM, str(failure)) from None
            if str(failure) != self._said:
                self._said = str(failure)
                steward.journal.note(NoteKind.KILLER_FAILED, self._said, failure.code)
            self._count(steward, AGAIN_S)
            return
        finally:
            take_turns()
        self.pid = 0

    def wait_s(self) -> float:
        """Seconds until the next try."""
        return self._retry.left_s() if self.pid else NEVER

    def _count(self, steward: Owner, again_s: float) -> None:
        self.young_deaths += 1
        if self.young_deaths <= MAX_REFORKS:
            if again_s:
                self._retry.failed(again_s)
            return
        if self.young_deaths == MAX_REFORKS + 1:
            steward.tell(Note(kind=NoteKind.KILLERS_DIE_YOUNG, number=self.young_deaths))
        self._retry.failed()
