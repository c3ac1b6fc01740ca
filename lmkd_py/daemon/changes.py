"""What a daemon changes on the machine beyond its own life, noted in its state root for whoever has to undo it.

One line a change, first value first: a daemon that starts after one that was killed adds nothing that is noted already,
so what stands here is how things were before any of ours.
"""

from __future__ import annotations

import os

from ..kernel.protection.memory_min import NAME, MemoryMinPlace
from ..kernel.protection.own_cgroup import remove_own
from ..kernel.sensing.cgroup_files import write
from ..wire.state_file import read_state_file

FILE = "changes"
MOST_BYTES = 1 << 14
# 1: compaction may migrate locked pages too, and whoever touches one then waits for the migration.
COMPACT_UNEVICTABLE = "/proc/sys/vm/compact_unevictable_allowed"
COMPACTION, MEMORY_MIN, CONTROLLER, CGROUP = "compaction", "memory.min", "controller", "cgroup"


def noted(root: str) -> list[list[str]]:
    """The words of each line; none where the file is missing, or may be somebody else's."""
    try:
        data = read_state_file(os.path.join(root, FILE), MOST_BYTES)
    except OSError:
        return []
    return [line.split("\t") for line in data.decode("utf-8", "surrogateescape").split("\n") if line]


def note(root: str, *words: str) -> None:
    """Add a line unless one for the same thing is there. OSError where the disk refuses it."""
    if any(line[: len(words) - 1 or 1] == list(words[: len(words) - 1 or 1]) for line in noted(root)):
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(os.path.join(root, FILE), flags, 0o600)
    try:
        os.write(fd, ("\t".join(words) + "\n").encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)


def note_settled(root: str, settled: MemoryMinPlace) -> None:
    """How the cgroups were that memory_min.settle() has changed."""
    if os.path.basename(settled.directory) == NAME:
        note(root, CGROUP, settled.directory, "made")
    else:
        note(root, MEMORY_MIN, settled.directory, str(settled.former_min))
    if settled.switched_on:
        note(root, CONTROLLER, settled.switched_on, "on")


def take_back(root: str) -> None:
    """Undo all that is noted, and forget it. What cannot be undone (any more) is passed over."""
    for line in noted(root):
        try:
            _undo(line)
        except (OSError, ValueError):
            continue
    remove_own()
    try:
        os.unlink(os.path.join(root, FILE))
    except OSError:  # not there, or a disk that takes nothing
        pass


def _undo(line: list[str]) -> None:
    kind, where, value = (*line, "", "")[:3]
    if kind == COMPACTION:
        with open(COMPACT_UNEVICTABLE, "wb", buffering=0) as file:
            file.write(b"1")
    elif kind == MEMORY_MIN:
        write(where, "memory.min", str(int(value)))
    elif kind == CGROUP and os.path.basename(where) == NAME:
        os.rmdir(where)
    elif kind == CONTROLLER:
        with os.scandir(where) as entries:
            if any(entry.is_dir() for entry in entries):
                return  # somebody lives by it now
        write(where, "cgroup.subtree_control", "-memory")
