"""Who holds a state root where neither the lock's file nor the control socket can say it: a read-only or full disk."""

from __future__ import annotations

import os

LOCKS = "/proc/locks"


def lock_holder(paths: tuple[str, ...]) -> int:
    """Pid of a process that has one of these files open and, as the kernel tells, holds a flock of it; 0: none."""
    places = set()
    for path in paths:
        try:
            about = os.stat(path, follow_symlinks=False)
        except OSError:
            continue
        places.add((about.st_dev, about.st_ino))
    try:
        with open(LOCKS, "rb") as file:
            lines = [line.split() for line in file]
    except OSError:
        return 0
    # `1: FLOCK ADVISORY WRITE 8713 00:1d:222 0 EOF`. Its device is not always that of stat(), so only inodes count.
    inodes = {inode for _, inode in places}
    for words in lines:
        if len(words) < 6 or words[1] != b"FLOCK" or int(words[5].rpartition(b":")[2]) not in inodes:
            continue
        pid = int(words[4])
        if pid > 0 and _has_open(pid, places):
            return pid
    return 0


def _has_open(pid: int, places: set[tuple[int, int]]) -> bool:
    # Who took the lock may have ended, and its number may be another's since.
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for name in names:
        try:
            about = os.stat(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if (about.st_dev, about.st_ino) in places:
            return True
    return False
