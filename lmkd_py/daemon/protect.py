"""What keeps the kernel's hands off the daemon: no memory limit above it, the last in line for the OOM killer, pages
that are not moved about. The steward does it for both before it forks; each killer does it again and reports."""

from __future__ import annotations

from typing import NamedTuple

from ..kernel.own_cgroup import Left, go_back, leave_limits, remove_own

# 1: compaction may migrate locked pages too, and whoever touches one then waits for the migration.
COMPACT_UNEVICTABLE = "/proc/sys/vm/compact_unevictable_allowed"


class Told(NamedTuple):
    """What undo() has to take back."""

    left: Left
    compaction: bool  # was told to leave us alone


def protect(notes: list[str], kin: tuple[int, ...]) -> Told:
    """As far as this machine allows; `notes` get a line for each. kin: pids of the daemon."""
    left = leave_limits(kin)
    notes.append(left.said)
    try:
        _write("/proc/self/oom_score_adj", b"-1000")
    except OSError as error:
        notes.append(f"oom_score_adj -1000 refused: {error.strerror}")
    return Told(left, _tell_compaction(notes))


def undo(told: Told, compaction: bool) -> None:
    """At a clean stop: the machine as it was. compaction: it was told, by us or by one who could not undo it."""
    go_back(told.left)
    remove_own()
    if compaction:
        try:
            _write(COMPACT_UNEVICTABLE, b"1")
        except OSError:
            pass


def _tell_compaction(notes: list[str]) -> bool:
    try:
        with open(COMPACT_UNEVICTABLE, "rb") as file:
            if file.read(1) != b"1":
                return False
        _write(COMPACT_UNEVICTABLE, b"0")
    except FileNotFoundError:
        return False  # a kernel without compaction
    except OSError as error:
        notes.append(f"vm.compact_unevictable_allowed 0 refused: {error.strerror}")
        return False
    return True


def _write(path: str, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data)
