"""Killers that have ended: what they recorded is filed, and only then their memory goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....core.notes import Note
from ....core.vocabulary import NoteKind

if TYPE_CHECKING:
    from ...slow_closers import SlowClosers
    from ..candidates.candidates import Candidates
    from ..filing.journal import Journal
    from .keeper import Killer


class Ended(NamedTuple):
    """A dead killer; pid and time (ns) of the one that went live in its stead, 0 where none did."""

    killer: Killer
    successor: int
    live_ns: int


class Burial:
    """All that are not buried yet, in the order of their deaths."""

    def __init__(self, journal: Journal, candidates: Candidates, slow: SlowClosers | None = None) -> None:
        self.journal = journal
        self.candidates = candidates
        self.slow = slow
        self.waiting: list[Ended] = []
        self._told: Ended | None = None  # the first of them, once the trace has all of it

    def add(self, killer: Killer, successor: int = 0, live_ns: int = 0) -> None:
        """One more; nothing of it is touched before carry_out()."""
        self.waiting.append(Ended(killer, successor, live_ns))

    def carry_out(self) -> bool:
        """File everything; False where the trace does not take all of it now, for want of memory.

        What a disk refuses is tried again when it takes frames.
        """
        while self.waiting:
            killer = self.waiting[0].killer
            if self.waiting[0] is not self._told and not self._tell(self.waiting[0]):
                return bool(self.journal.trace.refusal)
            if self.slow is not None:
                self.slow.add(killer.copies)
                killer.copies = ()
            if not killer.shared.forget():
                return False
            killer.close()
            del self.waiting[0]
        return True

    def _tell(self, ended: Ended) -> bool:
        # What a shortage interrupts is told from the start; nothing that may fail follows the note.
        killer, successor, live_ns = ended
        self.journal.file_records(killer)
        if not killer.ring.is_empty() or self.journal.trace.late:
            return False
        self.journal.file_unrecorded(killer)
        if successor:
            self.candidates.never.discard(killer.pid)
            self.journal.add(Note(live_ns, NoteKind.HANDOVER, number=successor, subject=f"killer {killer.pid}"))
        elif killer.ring.tail and not killer.ring.foreign:
            self.journal.note(NoteKind.BEQUEST, number=killer.pid)
        self._told = ended
        return True
