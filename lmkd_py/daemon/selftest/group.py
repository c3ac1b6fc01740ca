"""A memory cgroup with a limit, v1 or v2, that goes away with whoever made it, however that ends.

A child of its own waits for our end of a pipe to close; then it ends the daemon under test and its killer, everybody in
the group, switches kernel OOM killing back on and removes what was made. There is no other way to clear up.
"""

from __future__ import annotations

import os
import signal
import time
from typing import NamedTuple

from ...core.config import DomainKind
from ...kernel.acting.syscalls import pidfd_open, pidfd_send_signal
from ...kernel.bpf import disown, parent_of
from ...kernel.protection.lasting import forget_lasting
from ...kernel.sensing.domain.members import cgroup_members
from ...kernel.sensing.mounts import cgroup_v2_root, memcg_v1_root
from ..steward.killers.killers_file import living

CLEAR_S = 20.0
STATE = "root"  # below our own directory: the state root of the daemon under test


class NoGroup(Exception):
    """Why no memory cgroup can be made here, in one line."""


class Group(NamedTuple):
    """Directories; `psi` is that of the v2 cgroup with the same members ("" where there is none)."""

    kind: int  # DomainKind
    memory: str
    psi: str
    switched_on: str  # the subtree_control in which we asked for the memory controller; ""

    @property
    def directories(self) -> tuple[str, ...]:
        """Its memory and PSI directories, without duplicates."""
        return tuple(dict.fromkeys(path for path in (self.memory, self.psi) if path))

    def join(self, pid: int = 0) -> None:
        """Move a process into the group; 0: the calling process."""
        for directory in self.directories[::-1]:
            write(directory, "cgroup.procs", str(pid))

    def number(self, name: str, key: str = "") -> int:
        """A file's number, or that behind `key` in a file of lines; 0 where it has none."""
        try:
            with open(os.path.join(self.memory, name)) as file:
                for line in file:
                    words = line.split()
                    if not key or words[0] == key:
                        return int(words[-1])
        except (OSError, ValueError, IndexError):
            pass
        return 0

    def oom_kills(self) -> int:
        """Kills in the group by the kernel's OOM killer."""
        return self.number("memory.oom_control" if self.kind == DomainKind.MEMCG_V1 else "memory.events", "oom_kill")


def write(directory: str, name: str, text: str) -> None:
    """Write one value to a control file. Raises OSError."""
    with open(os.path.join(directory, name), "w") as file:
        file.write(text)


def make_group(name: str, limit_mib: int) -> Group:
    """Make it and set its limit. NoGroup says why not."""
    v1, v2 = memcg_v1_root(), cgroup_v2_root()
    try:
        if v1:
            return _make_v1(os.path.join(v1, name), os.path.join(v2, name) if v2 else "", limit_mib << 20)
        if v2:
            return _make_v2(v2, name, limit_mib << 20)
    except OSError as error:
        raise NoGroup(f"{error.filename or 'cgroup'}: {error.strerror}; run it as root, outside a container") from None
    raise NoGroup("no cgroup file system is mounted; wanted cgroup v1 memory or cgroup v2 under /sys/fs/cgroup")


def _make_v1(memory: str, twin: str, size: int) -> Group:
    os.mkdir(memory)
    group = Group(DomainKind.MEMCG_V1, memory, twin, "")
    try:
        write(memory, "memory.limit_in_bytes", str(size))
        write(memory, "memory.swappiness", "0")
        write(memory, "memory.oom_control", "1")  # or the kernel's OOM killer would be there first
        if twin:
            os.mkdir(twin)
    except OSError:
        clear(group, "")
        raise
    return group


def _make_v2(top: str, name: str, size: int) -> Group:
    control = os.path.join(top, "cgroup.subtree_control")
    with open(control) as file:
        switched_on = "" if "memory" in file.read().split() else control
    if switched_on:
        write(top, "cgroup.subtree_control", "+memory")
    directory = os.path.join(top, name)
    group = Group(DomainKind.CGROUP_V2, directory, directory, switched_on)
    try:
        os.mkdir(directory)
        write(directory, "memory.max", str(size))
        if os.path.exists(os.path.join(directory, "memory.swap.max")):
            write(directory, "memory.swap.max", "0")
    except OSError:
        clear(group, "")
        raise
    return group


def watch(group: Group, root: str) -> tuple[int, int]:
    """Fork the one who clears up; (its pid, the descriptor whose closing starts it)."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(ours)
        return pid, theirs
    try:
        os.close(theirs)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.read(ours, 1)
        clear(group, root)
    finally:
        os._exit(0)


def clear(group: Group, root: str) -> None:
    """End all, reset all, remove all. `root` is our own directory; "": there is none yet."""
    state = os.path.join(root, STATE)
    deadline = time.monotonic() + CLEAR_S
    while any(os.path.isdir(path) for path in group.directories) and time.monotonic() < deadline:
        for pid, pidfd, shared in living(state) if root else ():
            del pid
            pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            shared.close()
        if not _kill_members(group):
            for directory in group.directories:
                _quietly(os.rmdir, directory)
        elif time.monotonic() > deadline - CLEAR_S / 2:
            _quietly(write, group.memory, "memory.oom_control", "0")
        time.sleep(0.02)
    if group.switched_on:
        _quietly(write, os.path.dirname(group.switched_on), "cgroup.subtree_control", "-memory")
    if root:
        try:
            disown(parent_of(state))
            forget_lasting(state)
        except OSError:
            pass
        remove_tree(root)


def _kill_members(group: Group) -> int:
    seen = 0
    for directory in group.directories:
        try:
            pids = cgroup_members(directory)
        except OSError:
            continue
        seen += len(pids)
        for pid in pids:
            try:
                pidfd = pidfd_open(pid)
            except OSError:
                continue
            if pid in cgroup_members(directory):  # the pidfd is of a member, not of whoever got its number
                pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
    return seen


def _quietly(attempt: object, *words: str) -> None:
    try:
        attempt(*words)  # type: ignore[operator]
    except OSError:
        pass


def remove_tree(root: str) -> None:
    """Remove a directory with everything in it."""
    for place, directories, files in os.walk(root, topdown=False):
        for name in files:
            _quietly(os.unlink, os.path.join(place, name))
        for name in directories:
            _quietly(os.rmdir, os.path.join(place, name))
    _quietly(os.rmdir, root)
