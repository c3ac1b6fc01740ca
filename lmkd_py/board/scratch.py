"""A directory whose files are really on a disk: thrashing a tmpfs would only allocate more memory."""

from __future__ import annotations

import os

from ..core.mountinfo import mount_of, parse_mountinfo
from .errors import SandboxError

_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs")
_CANDIDATES = ("/var/tmp", "/tmp", ".")


def file_system_of(path: str, mountinfo: str = "/proc/self/mountinfo") -> str:
    """Type of the file system that `path` lies on, as the kernel names it."""
    with open(mountinfo, "rb") as file:
        found = mount_of(parse_mountinfo(file.read()), os.path.realpath(path))
    return found.kind if found is not None else ""


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
