"""Our place among the cgroups: under no memory limit, protected where v2 can, with a real-time quota of our own.

Start-up only. Every function returns a note of what it came to and raises nothing: what a machine refuses is
reported. `root` is where /proc and /sys are looked up (a captured tree in tests).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ...core.mountinfo import Mount, below_root
from ...core.notes import Note
from ...core.vocabulary import NoteKind
from ..acting.refused import refused
from ..sensing.cgroup_files import limited_below, read, write
from ..sensing.mounts import cgroup_v2_root, cpu_v1_root, memcg_v1_root, under, v1_mount, v2_mount
from ..sensing.placement import cgroup_of
from . import memory_min
from .memory_min import NAME, MemoryMinPlace

# For memory.min: about what both processes hold, but for the pool, which is locked and needs none. No more: page cache
# of the trace is charged to us, too, and has to go first. Kept, 6 MB of it let a small board's OOM killer act.
OURSELVES_BYTES = 10 << 20
# Real-time share: far more than the killer needs at its busiest (a per cent or two). In short periods, so that a killer
# that did spend it all would be held back for 20 ms at most.
RT_PERIOD_US, RT_QUOTA_US = 100_000, 80_000


class Left(NamedTuple):
    """What leave_limits() came to, and for v2 what go_back() needs."""

    note: Note
    settled: MemoryMinPlace | None = None


class RtQuota(NamedTuple):
    """The cgroup, "" where the kernel has no such thing or refuses it; the note, None where it has no such thing."""

    directory: str
    note: Note | None


def leave_limits(kin: tuple[int, ...], root: str = "/") -> Left:
    """Move this process out of every limited memory cgroup (v1), and under memory.min (v2). kin: pids of the daemon."""
    v1, v2 = v1_mount("memory", root), v2_mount(root)
    try:
        if v1 is not None:
            return Left(_leave_v1(under(root, v1.point), _own(v1, "memory", root)))
        if v2 is not None and memory_min.has_controller(under(root, v2.point)):
            return _settle_v2(under(root, v2.point), _own(v2, "", root), OURSELVES_BYTES, kin)
    except OSError as error:
        return Left(refused(NoteKind.MEMORY_CGROUP_REFUSED, error))
    return Left(Note(kind=NoteKind.MEMORY_CGROUPS_ABSENT))


def go_back(left: Left) -> None:
    """At the end: to where we were before leave_limits(), as far as that is still there."""
    try:
        if left.settled is not None:
            memory_min.leave(left.settled)
    except OSError:
        pass


def take_rt_quota(root: str = "/") -> Note | None:
    """Move this process into a v1 cpu cgroup with a real-time quota; None where the kernel has no such thing.

    With RT_GROUP_SCHED a cpu cgroup without one refuses SCHED_FIFO, so the quota is set before the move.
    """
    made = make_rt_quota(root)
    return give_rt_quota(0, root) or made.note if made.directory else made.note


def give_rt_quota(pid: int, root: str = "/") -> Note | None:
    """Move a process (0: this one) where make_rt_quota() has set a quota; what was refused, else None.

    The kernel waits for a grace period of RCU in it: 13 ms on two busy CPUs, 88 ms at worst.
    """
    directory = _rt_directory(root)
    if not directory or cgroup_of("cpu", root, str(pid) if pid else "self") == f"/{NAME}":
        return None
    try:
        if int(read(directory, "cpu.rt_runtime_us")) == RT_QUOTA_US:
            write(directory, "cgroup.procs", str(pid))
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError as error:
        return refused(NoteKind.CPU_CGROUP_REFUSED, error, 1)
    return None


def make_rt_quota(root: str = "/") -> RtQuota:
    """A v1 cpu cgroup with a real-time quota, nobody in it yet."""
    directory = _rt_directory(root)
    if not directory:
        return RtQuota("", None)
    try:
        os.makedirs(directory, exist_ok=True)
        if int(read(directory, "cpu.rt_runtime_us")) != RT_QUOTA_US:
            write(directory, "cpu.rt_runtime_us", "0")  # or the new period could ask for more than there is
            write(directory, "cpu.rt_period_us", str(RT_PERIOD_US))
            write(directory, "cpu.rt_runtime_us", str(RT_QUOTA_US))
    except OSError as error:
        return RtQuota("", refused(NoteKind.CPU_CGROUP_REFUSED, error, 1))
    share_pct = RT_QUOTA_US * 100 // RT_PERIOD_US
    return RtQuota(directory, Note(kind=NoteKind.RT_QUOTA, subject=directory, number=share_pct, layer=1))


def leave_rt_quota(root: str = "/") -> None:
    """Back to the root cpu cgroup, where SCHED_FIFO is never refused for want of a quota."""
    try:
        write(cpu_v1_root(root), "cgroup.procs", "0")
    except OSError:
        pass


def remove_own(root: str = "/") -> None:
    """Remove the cgroups we made, unless another daemon lives in them."""
    for top in (cpu_v1_root(root), "" if memcg_v1_root(root) else cgroup_v2_root(root)):
        try:
            os.rmdir(os.path.join(top or "/nowhere", NAME))
        except OSError:
            continue


def _rt_directory(root: str) -> str:
    v1 = cpu_v1_root(root)
    return os.path.join(v1, NAME) if v1 and os.path.exists(os.path.join(v1, "cpu.rt_runtime_us")) else ""


def _leave_v1(top: str, own: str) -> Note:
    below = limited_below(top, own, "memory.limit_in_bytes")
    if below is None:
        return Note(kind=NoteKind.MEMORY_CGROUP_UNLIMITED, subject=own)
    target = os.path.dirname(below)
    write(target, "cgroup.procs", "0")
    return Note(kind=NoteKind.MEMORY_CGROUP_LEFT, subject=target[len(top) :] or "/", text=own)


def _settle_v2(top: str, own: str, wanted: int, kin: tuple[int, ...]) -> Left:
    limited = limited_below(top, own, "memory.max")
    settled = memory_min.settle(top, top + own.rstrip("/"), limited, wanted, kin)
    note = Note(kind=NoteKind.MEMORY_MIN, subject=settled.directory[len(top) :], number=wanted >> 20)
    if settled.counts < wanted:
        note = note._replace(kind=NoteKind.MEMORY_MIN_SHORT, number=settled.counts >> 20)
    return Left(note, settled)


def _own(mount: Mount, controller: str, root: str) -> str:
    # Our path below the mount point; the point itself where the mount does not show our cgroup.
    return below_root(mount, cgroup_of(controller, root) or "/") or "/"
