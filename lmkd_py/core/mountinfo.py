"""/proc/PID/mountinfo as values: which mounts can be reached, and which one shows a hierarchy from its root.

Pure text to values. Kernel, board and host all read this table, and core is the only room that all three may import.
The format is in Documentation/filesystems/proc.rst of the kernel, section 3.5.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

_DELETED = "//deleted"  # the kernel's mark behind a directory that was removed while it was bind-mounted


class Mount(NamedTuple):
    """One line. `options` are those of the file system (v1 cgroups: its controllers), not of the mount point."""

    number: int
    parent: int  # number of the mount it was mounted on
    root: str  # which directory of the file system is seen at `point`; "/.." lies above our cgroup namespace
    point: str
    kind: str  # type of the file system
    options: tuple[str, ...]


def parse_mountinfo(data: bytes) -> list[Mount]:
    """Every line that is one, in order; anything else is left out. Never raises."""
    return [mount for line in data.split(b"\n") for mount in (_mount(line),) if mount is not None]


def reachable(mounts: list[Mount]) -> list[Mount]:
    """Those that a path leads to: no other mount lies over them or over a directory above them."""
    numbered = {mount.number: mount for mount in mounts}
    by_point: dict[str, list[int]] = {}
    for index, mount in enumerate(mounts):
        by_point.setdefault(mount.point, []).append(index)
    found = []
    for index, mount in enumerate(mounts):
        below = _below(mount, numbered)
        over = (other for point in _upwards(mount.point) for other in by_point.get(point, ()) if other != index)
        if not any(_hides(mounts, other, index, below, numbered) for other in over):
            found.append(mount)
    return found


def from_its_root(mounts: list[Mount], wanted: Callable[[Mount], bool]) -> Mount | None:
    """Of the reachable mounts that are `wanted` the one whose root is "/", else the one with the shortest root."""
    best: Mount | None = None
    for mount in reachable(mounts):
        if not wanted(mount) or mount.root.endswith(_DELETED):
            continue
        if best is None or _distance(mount) < _distance(best):
            best = mount
    return best


def is_v1(mount: Mount, controller: str) -> bool:
    """A v1 hierarchy with this controller."""
    return mount.kind == "cgroup" and controller in mount.options


def is_v2(mount: Mount) -> bool:
    """Also the v2 hierarchy beside v1 ones (hybrid)."""
    return mount.kind == "cgroup2"


def mount_of(mounts: list[Mount], path: str) -> Mount | None:
    """The mount that an absolute path without links lies on."""
    inside = path.rstrip("/") + "/"
    best: Mount | None = None
    for mount in reachable(mounts):
        if inside.startswith(mount.point.rstrip("/") + "/") and (best is None or len(mount.point) > len(best.point)):
            best = mount
    return best


def below_root(mount: Mount, path: str) -> str | None:
    """Where the cgroup `path` of /proc/PID/cgroup lies below the mount point: "" is the point itself, else "/a/b".

    None: the mount does not show it.
    """
    root = mount.root.rstrip("/")
    if path != root and not path.startswith(root + "/"):
        return None
    return path[len(root) :].rstrip("/")


def _mount(line: bytes) -> Mount | None:
    left, dash, right = line.partition(b" - ")
    place, words = left.split(b" "), right.split(b" ")
    if not dash or len(place) < 6 or len(words) < 2 or not (place[0].isdigit() and place[1].isdigit()):
        return None
    # Blanks separate the fields, so a source that is empty or a lone type still leaves the options last.
    options = tuple(_text(words[-1]).split(",")) if len(words) > 2 else ()
    return Mount(int(place[0]), int(place[1]), _text(place[3]), _text(place[4]), _text(words[0]), options)


def _distance(mount: Mount) -> tuple[int, int]:
    # Of its root from the hierarchy's.
    return 0 if mount.root == "/" else 1, len(mount.root)


def _text(field: bytes) -> str:
    # seq_path() writes blank, tab, newline and backslash as \ooo, file systems write more so; each once, left to right.
    first, *rest = field.split(b"\\")
    for part in rest:
        digits = part[:3]
        if len(digits) == 3 and digits[0] in b"0123" and all(digit in b"01234567" for digit in digits):
            first += bytes((int(digits, 8),)) + part[3:]
        else:
            first += b"\\" + part
    return first.decode("utf-8", "surrogateescape")  # what os.fsdecode does


def _upwards(point: str) -> list[str]:
    found = [point]
    while point != "/" and "/" in point:
        point = point.rpartition("/")[0] or "/"
        found.append(point)
    return found


def _below(mount: Mount, numbered: dict[int, Mount]) -> set[int]:
    # Numbers of the mounts it stands on, and its own.
    found = {mount.number}
    while mount.parent not in found and mount.parent in numbered:
        mount = numbered[mount.parent]
        found.add(mount.number)
    return found


def _hides(mounts: list[Mount], other: int, index: int, below: set[int], numbered: dict[int, Mount]) -> bool:
    """Whether mount `other`, at the same point or above it, lies over mount `index`, which stands on `below`."""
    over = mounts[other]
    if over.number in below:
        return False  # it is stood on
    covered = numbered.get(over.parent)
    if covered is not None and covered.number in below and covered.point == over.point:
        return True
    return other > index  # mounted later
