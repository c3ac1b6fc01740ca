"""Which processes the steward can see, for whoever wonders why there are so few candidates."""

from __future__ import annotations

from ..core.notes import Note
from ..core.vocabulary import NoteKind
from ..kernel.sensing.procfs.hidden import sight


def hidden_processes(root: str = "/") -> list[Note]:
    """A note of how many /proc hides from us, and by which mount option; [] where nobody is hidden or none can tell."""
    try:
        seen = sight(root)
    except OSError:
        return []
    if not seen.option or seen.visible >= seen.processes:
        return []
    hidden, shown = seen.processes - seen.visible, f"{seen.visible} of {seen.processes}"
    return [Note(kind=NoteKind.HIDDEN_PROCESSES, text=shown, number=hidden, subject=seen.option)]
