"""How many processes /proc hides from us (hidepid). Start-up only."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from ....core.mountinfo import mount_of
from ..mounts import mounts, under

_OPTION = "hidepid="
_OFF = ("0", "off")
_CAP_SYS_PTRACE = 19


class Sight(NamedTuple):
    """`visible` of `processes` can be looked at; `option` is the mount's, "" where it hides nobody from us."""

    visible: int
    processes: int
    option: str


def sight(root: str = "/") -> Sight:
    """Count them. The number of all is what /proc's link count has beyond its other directories (fs/proc/root.c)."""
    proc = under(root, "/proc")
    mount = mount_of(mounts(root), "/proc")
    options = [each for each in (mount.options if mount is not None else ()) if each.startswith(_OPTION)]
    option = options[-1] if options and options[-1][len(_OPTION) :] not in _OFF else ""
    if option and _sees_everybody(proc):
        option = ""  # the counts below may differ all the same: processes come and go between them
    names = os.listdir(proc)
    pids = [name for name in names if name.isdigit()]
    visible = sum(os.access(os.path.join(proc, pid, "oom_score_adj"), os.R_OK) for pid in pids)
    others = sum(_is_directory(os.path.join(proc, name)) for name in names if not name.isdigit())
    return Sight(visible, max(os.stat(proc).st_nlink - 2 - others, len(pids)), option)


def _sees_everybody(proc: str) -> bool:
    # As root, or in the group of the mount's gid=: then pid 1 is in sight too, and not because it is one of ours.
    first = os.path.join(proc, "1")
    try:
        if not os.access(os.path.join(first, "oom_score_adj"), os.R_OK):
            return False
        if os.stat(first).st_uid != os.geteuid():
            return True
        with open(os.path.join(proc, "self/status"), "rb") as file:
            found = [line.split()[1] for line in file if line.startswith(b"CapEff:")]
        return bool(found) and bool(int(found[0], 16) >> _CAP_SYS_PTRACE & 1)
    except (OSError, ValueError):
        return False


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
