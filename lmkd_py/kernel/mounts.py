"""Where the cgroup hierarchies are mounted. Start-up only."""

from __future__ import annotations

import os


def under(root: str, path: str) -> str:
    """`path` (absolute) looked up below `root`; root "/" leaves it as it is."""
    return path if root == "/" else os.path.join(root, path.lstrip("/"))


def _mounts(root: str) -> list[tuple[str, str, str]]:
    # (mount point, type, super options) of each line; the kernel writes blanks in paths as \040.
    try:
        with open(under(root, "/proc/self/mountinfo"), "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines:
        left, dash, right = line.partition(b" - ")
        place, words = left.split(b" "), right.split(b" ")
        if dash and len(place) > 4 and len(words) > 2:
            point = os.fsdecode(place[4].replace(b"\\040", b" "))
            found.append((point, words[0].decode("ascii", "replace"), words[2].decode("ascii", "replace")))
    return found


def memcg_v1_root(root: str = "/") -> str:
    """Directory of the root v1 memory cgroup, "" if that hierarchy is not mounted."""
    return _v1_root("memory", root)


def cpu_v1_root(root: str = "/") -> str:
    """Directory of the root v1 cpu cgroup, "" if that hierarchy is not mounted."""
    return _v1_root("cpu", root)


def _v1_root(controller: str, root: str) -> str:
    for point, kind, options in _mounts(root):
        if kind == "cgroup" and controller in options.split(","):
            return under(root, point)
    return ""


def cgroup_v2_root(root: str = "/") -> str:
    """Directory of the root v2 cgroup, "" if it is not mounted."""
    for point, kind, _ in _mounts(root):
        if kind == "cgroup2":
            return under(root, point)
    return ""


def mount_points(kind: str, root: str = "/") -> list[str]:
    """Where file systems of this type are mounted (bpf, tracefs), in the order of the kernel's list."""
    return [under(root, point) for point, found, _ in _mounts(root) if found == kind]


def file_system_of(path: str, root: str = "/") -> str:
    """Type of the file system that `path` lies on; "" where that cannot be told."""
    path = os.path.realpath(path) + "/"
    place, kind = "", ""
    for point, found, _ in _mounts(root):
        # A later mount on the same point hides the earlier one, hence >=.
        if path.startswith(point.rstrip("/") + "/") and len(point) >= len(place):
            place, kind = point, found
    return kind
