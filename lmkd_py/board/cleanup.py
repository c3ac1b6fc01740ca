"""Ends every member of a set of cgroups and removes the directories, and what its daemons pinned; the only clean-up.

It runs in the guardian, on a clean end and after a crash alike, and imports nothing of ours so that it can.
SIGKILL comes before kernel OOM killing is switched back on: a task that waits for memory in a v1 memcg can be
killed, and the other order would let the kernel kill (and count) a task of its own choice in between.
Should a member survive that, OOM killing is switched on and the members are killed again.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

STUBBORN_S = 1.0  # this long members may take to die before kernel OOM killing comes back on


def _write(path: str, text: str) -> None:
    # Best effort: what cannot be written is seen as a leftover later.
    with suppress(OSError), open(path, "w") as file:
        file.write(text)


def members(directory: str) -> list[int]:
    """Pids in cgroup.procs of the directory; empty if it is gone."""
    try:
        with open(os.path.join(directory, "cgroup.procs")) as file:
            return [int(line) for line in file if line.strip() != "0"]
    except OSError:
        return []


def subtree(directory: str) -> list[str]:
    """The directory and all cgroups below it, the deepest first."""
    return [path for path, _, _ in os.walk(directory, topdown=False)]


def kill_member(directory: str, pid: int) -> None:
    """SIGKILL by pidfd, and only if the pid is still a member once the pidfd is open."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if pid in members(directory):
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)


def _thaw(directory: str) -> None:
    if os.path.exists(os.path.join(directory, "freezer.state")):
        _write(os.path.join(directory, "freezer.state"), "THAWED")
    elif os.path.exists(os.path.join(directory, "cgroup.freeze")):
        _write(os.path.join(directory, "cgroup.freeze"), "0")


def allow_oom_kill(directory: str) -> None:
    """Switch kernel OOM killing of a v1 memcg back on; nothing to do anywhere else."""
    path = os.path.join(directory, "memory.oom_control")
    if os.path.exists(path):
        _write(path, "0")


def _kill_all(directories: Sequence[str], stubborn: bool) -> int:
    # One round over every cgroup; how many members were seen.
    seen = 0
    for top in directories:
        for directory in subtree(top):
            pids = members(directory)
            if pids:
                if stubborn:
                    allow_oom_kill(directory)
                _thaw(directory)  # a v1-frozen task takes no SIGKILL
                for pid in pids:
                    kill_member(directory, pid)
            seen += len(pids)
    return seen


def _remove(directory: str) -> None:
    with suppress(OSError):
        os.rmdir(directory)


def forget_pins(root: str) -> None:
    """Take out of the kernel and of memory what a daemon of this state root, killed with its board, has left there."""
    # A late import: clearing cgroups must not hang on it.
    from ..kernel.bpf import disown, parent_of
    from ..kernel.protection.lasting import forget_lasting

    with suppress(OSError):
        disown(parent_of(root))
        forget_lasting(root)


def clear(directories: Sequence[str], deadline_s: float = 20.0) -> list[str]:
    """Kill all members, reset what was switched, remove the directories. Returns the paths that are still there."""
    start = time.monotonic()
    while True:
        elapsed = time.monotonic() - start
        if _kill_all(directories, stubborn=elapsed > STUBBORN_S) == 0:
            for top in directories:
                for directory in subtree(top):
                    allow_oom_kill(directory)
                    _remove(directory)
        left = [top for top in directories if os.path.isdir(top)]
        if not left or elapsed > deadline_s:
            break
        time.sleep(0.01)
    for top in left:
        allow_oom_kill(top)
    return left
