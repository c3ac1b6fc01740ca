"""Where a domain lies among the cgroups, so that events of others can be told from its own. For the steward."""

from __future__ import annotations

import os
from typing import NamedTuple


class Placement(NamedTuple):
    """The whole system is nowhere: the defaults."""

    v2_directory: str = ""  # whose tasks are the domain's; "": there is none
    hierarchy: int = -1  # number in /proc/PID/cgroup; below 0: who is moved between cgroups stays in the domain
    cgroup_id: int = 0  # the kernel's number of the domain's own cgroup in that hierarchy
    level: int = 0  # of that cgroup, the root's is 0; also 0 where it cannot be told


def placement_of(directory: str, v2_directory: str, v1_controller: str = "") -> Placement:
    """Of the cgroup `directory`, in the v1 hierarchy of that controller or in v2. OSError if it is gone."""
    hierarchy = 0
    if v1_controller:
        with open("/proc/self/cgroup", "rb") as file:
            lines = [line.split(b":", 2) for line in file.read().splitlines()]
        named = v1_controller.encode()
        hierarchy = next((int(number) for number, names, _ in lines if named in names.split(b",")), -1)
    return Placement(v2_directory, hierarchy, os.stat(directory).st_ino, _level(directory, bool(v1_controller)))


def _level(directory: str, v1: bool) -> int:
    level, above = 0, os.path.realpath(directory)
    while os.path.exists(os.path.join(above, "cgroup.procs")):
        # The root alone has release_agent in v1, and has no cgroup.type in v2 (kernel/cgroup).
        if os.path.exists(os.path.join(above, "release_agent" if v1 else "cgroup.type")) is v1:
            return level
        level, above = level + 1, os.path.dirname(above)
    return 0  # the root of a namespace: how deep it lies is not shown
