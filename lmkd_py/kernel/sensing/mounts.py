"""Where the cgroup hierarchies are mounted. Start-up only."""

from __future__ import annotations

import os

from ...core.mountinfo import Mount, from_its_root, is_v1, is_v2, mount_of, parse_mountinfo, reachable


def under(root: str, path: str) -> str:
    """`path` (absolute) looked up below `root`; root "/" leaves it as it is."""
    return path if root == "/" else os.path.join(root, path.lstrip("/"))


def mounts(root: str = "/") -> list[Mount]:
    """Every mount of our namespace; none where the table cannot be read."""
    try:
        with open(under(root, "/proc/self/mountinfo"), "rb") as file:
            return parse_mountinfo(file.read())
    except OSError:
        return []


def v1_mount(controller: str, root: str = "/") -> Mount | None:
    """The v1 hierarchy of a controller, as far up as we see it."""
    return from_its_root(mounts(root), lambda mount: is_v1(mount, controller))


def v2_mount(root: str = "/") -> Mount | None:
    """The v2 hierarchy, as far up as we see it."""
    return from_its_root(mounts(root), is_v2)


def memcg_v1_root(root: str = "/") -> str:
    """Directory of the root v1 memory cgroup, "" if that hierarchy is not mounted."""
    return _point(v1_mount("memory", root), root)


def cpu_v1_root(root: str = "/") -> str:
    """Directory of the root v1 cpu cgroup, "" if that hierarchy is not mounted."""
    return _point(v1_mount("cpu", root), root)


def cgroup_v2_root(root: str = "/") -> str:
    """Directory of the root v2 cgroup, "" if it is not mounted."""
    return _point(v2_mount(root), root)


def mount_points(kind: str, root: str = "/") -> list[str]:
    """Where file systems of this type are mounted (bpf, tracefs), in the order of the kernel's list."""
    return [under(root, mount.point) for mount in reachable(mounts(root)) if mount.kind == kind]


def file_system_of(path: str, root: str = "/") -> str:
    """Type of the file system that `path` lies on; "" where that cannot be told."""
    found = mount_of(mounts(root), os.path.realpath(path))
    return found.kind if found is not None else ""


def _point(mount: Mount | None, root: str) -> str:
    return under(root, mount.point) if mount is not None else ""
