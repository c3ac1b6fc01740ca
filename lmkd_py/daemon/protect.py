"""What keeps the kernel's hands off the daemon: no memory limit above it, the last in line for the OOM killer, pages
that are not moved about. The steward does it for both before it forks; each killer does it again and reports."""

from __future__ import annotations

from errno import EPERM

from ..core.notes import Note
from ..core.vocabulary import NoteKind
from ..kernel.acting.refused import refused
from ..kernel.protection.own_cgroup import Left, go_back, leave_limits
from . import changes


def protect(notes: list[Note], kin: tuple[int, ...], root: str = "") -> Left:
    """As far as this machine allows; `notes` get one for each. kin: pids of the daemon.

    root: the state root, of the steward: what outlives us is changed by it alone, and noted there. undo() needs what
    this returns.
    """
    left = leave_limits(kin)
    notes.append(left.note)
    try:
        _write("/proc/self/oom_score_adj", b"-1000")
    except OSError as error:
        notes.append(refused(NoteKind.OOM_SCORE_ADJ_REFUSED, error))
    try:
        if root and left.settled is not None:
            changes.note_settled(root, left.settled)
        _tell_compaction(root)
    except OSError as error:
        notes.append(refused(NoteKind.COMPACTION_REFUSED, error))
    return left


def undo(left: Left, root: str) -> None:
    """At a clean stop: the machine as it was before us, and before those who could not undo what they did."""
    go_back(left)
    changes.take_back(root)


def _tell_compaction(root: str) -> None:
    try:
        with open(changes.COMPACT_UNEVICTABLE, "rb") as file:
            if file.read(1) != b"1":
                return
    except FileNotFoundError:
        return  # a kernel without compaction
    if not root:
        raise PermissionError(EPERM, "it is 1 though the steward has tried")
    changes.note(root, changes.COMPACTION)
    _write(changes.COMPACT_UNEVICTABLE, b"0")


def _write(path: str, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data)
