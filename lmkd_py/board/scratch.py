"""A directory whose files are really on a disk: thrashing a tmpfs would only allocate more memory."""

from __future__ import annotations

import os

from .errors import SandboxError

_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs")
_CANDIDATES = ("/var/tmp", "/tmp", ".")


def file_system_of(path: str, mountinfo: str = "/proc/self/mountinfo") -> str:
    """Type of the file system that `path` lies on, as the kernel names it."""
    path = os.path.realpath(path)
    best, kind = "", ""
    with open(mountinfo) as file:
        for line in file:
            left, _, right = line.partition(" - ")
            point = left.split(" ")[4]
            # A later mount on the same point hides the earlier one, hence >=.
            if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                best, kind = point, right.split(" ")[0]
    return kind


def disk_directory(need_mib: int) -> str:
    """A writable directory on a disk with need_mib free; SandboxError if there is none."""
    for path in (os.environ.get("TMPDIR", ""), *_CANDIDATES):
        if not path or not os.access(path, os.W_OK) or file_system_of(path) in _IN_MEMORY:
            continue
        room = os.statvfs(path)
        if room.f_bavail * room.f_frsize >> 20 > need_mib:
            return os.path.realpath(path)
    raise SandboxError(
        f"none of {', '.join(_CANDIDATES)} is a writable directory on a disk with {need_mib} MiB free: "
        "set TMPDIR to one (tmpfs will not do)"
    )
