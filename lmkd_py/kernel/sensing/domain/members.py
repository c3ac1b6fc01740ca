"""Who lives in a cgroup. Allocates; for the steward."""

from __future__ import annotations

import errno
import os


def cgroup_members(directory: str) -> list[int]:
    """Pids of a cgroup and all cgroups below it. OSError naming the directory if it is gone.

    A process of another pid namespace shows as 0 and is left out, a child cgroup removed meanwhile too.
    """
    try:
        found = _processes(directory)
    except OSError as failure:
        raise OSError(failure.errno, f"memory domain {directory}: {os.strerror(failure.errno or 0)}") from None
    for parent, children, _ in os.walk(directory, onerror=_unless_gone):
        for child in children:
            try:
                found += _processes(os.path.join(parent, child))
            except OSError as failure:
                # EOPNOTSUPP: a threaded v2 cgroup; its processes are listed by the domain above it.
                if failure.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    raise
    return found


def _unless_gone(failure: OSError) -> None:
    # A list that is short because there was no memory to read all of it would look like processes that have left.
    if failure.errno != errno.ENOENT:
        raise failure


def _processes(directory: str) -> list[int]:
    with open(os.path.join(directory, "cgroup.procs"), "rb") as file:
        return [int(line) for line in file.read().split() if line != b"0"]
