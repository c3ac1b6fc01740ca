"""Where a process is among the cgroups, by /proc/PID/cgroup. Start-up only."""

from __future__ import annotations

import os

from .mounts import under


def cgroup_of(controller: str, root: str = "/", process: str = "self") -> str:
    """Path in the hierarchy of a v1 controller, or in v2 (""). "" where that cannot be told."""
    try:
        with open(under(root, f"/proc/{process}/cgroup"), "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    for line in lines:
        number, _, rest = line.partition(b":")
        names, colon, path = rest.partition(b":")
        if not colon:
            continue
        if controller.encode() in names.split(b",") if controller else (number == b"0" and not names):
            return os.fsdecode(path)
    return ""
