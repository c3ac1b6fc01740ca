"""Kills that are held back because the last ones did not help: said once a pause, with what holds the memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ....core.futile import held_until_ms
from ....core.notes import Note
from ....core.numbers import HELD, STALLED
from ....core.vocabulary import NoteKind
from ...inherited import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....kernel.sensing.domain import Domain
    from ....wire.peek import Peek
    from ....wire.record import Record

# What no death gives back, by the names of Snapshot's fields.
_HOLDERS = (("shmem", "shmem_kb"), ("unevictable", "unevictable_kb"), ("page tables", "page_tables_kb"))


class Holds:
    """`words`: what is said of a pause that goes on; empty if there is none."""

    def __init__(self) -> None:
        self.words = ""
        self._until_ms = 0
        self._fresh: Record | None = None
        self._over = False

    def cares(self, seen: Peek) -> bool:
        """Whether see() would find something in that record: it need not be decoded otherwise."""
        until_ms = max(seen.held_until_ms, seen.stall_wait_until_ms)
        begins = seen.action == HELD and until_ms != self._until_ms
        return begins or bool(self._until_ms and not seen.futile_kills and not seen.stall_wait_until_ms)

    def see(self, record: Record) -> None:
        """Take note of a record that was filed."""
        judgement, state = record.judgement, record.judgement.state
        if judgement.action == HELD and held_until_ms(state) != self._until_ms:
            self._until_ms = held_until_ms(state)
            self._fresh, self._over = record, False
        elif self._until_ms and not state.futile_kills and not state.stall_wait_until_ms:
            self._until_ms, self._over = 0, True

    def notes(self) -> list[Note]:
        """For the status reply: the pause, if there is one."""
        return [Note(kind=NoteKind.KILLS_HELD, text=self.words)] if self.words else []

    def tell(self, add: Callable[[Note], object], domain: Domain) -> None:
        """Note (by `add`) and log what see() has found since the last call."""
        record, self._fresh = self._fresh, None
        if record is not None:
            state, kills = record.judgement.state, record.judgement.state.futile_kills
            self.words = (
                f"the last {kills} kills freed less than a quarter of {state.futile_kb} kB;"
                f" nobody is killed for {state.hold_ms} ms; memory is held by {_held_by(record, domain)}"
            )
            if record.judgement.reason == STALLED and record.snapshot.now_ms < state.stall_wait_until_ms:
                kills = state.stall_kills
                self.words = (
                    f"the last {kills} STALLED kills did not reduce refaults;"
                    f" no STALLED kill for {state.stall_wait_ms} ms"
                )
            add(Note(record.snapshot.now_ms * 1_000_000, NoteKind.KILLS_HELD, self.words, kills))
            say(f"lmkd-py: {self.words}", sys.stderr)
        if self._over:
            self.words, self._over = "", False
            add(Note(kind=NoteKind.KILLS_RESUMED))


def _held_by(record: Record, domain: Domain) -> str:
    held_kb = {name: getattr(record.snapshot, field) for name, field in _HOLDERS}
    held_kb.update(domain.held_kb())
    told = sorted(((kb, name) for name, kb in held_kb.items() if kb > 0), reverse=True)
    return ", ".join(f"{name} ({kb} kB)" for kb, name in told) or "nothing that can be seen"
