"""Our place among the cgroups: under no memory limit, protected where v2 can, with a real-time quota of our own.

Start-up only. Every function says in a sentence what it came to and raises nothing: what a machine refuses is
reported. `root` is where /proc and /sys are looked up (a captured tree in tests).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import memory_min
from .cgroup_files import limited_below, read, write
from .memory_min import NAME, Settled
from .mounts import cgroup_v2_root, cpu_v1_root, memcg_v1_root, under

# For memory.min: about what both processes hold, but for the pool, which is locked and needs none. No more: page cache
# of the trace is charged to us, too, and has to go first. Kept, 6 MB of it let a small board's OOM killer act.
OURSELVES_BYTES = 10 << 20
# Real-time share: far more than the killer needs at its busiest (a per cent or two). In short periods, so that a killer
# that did spend it all would be held back for 20 ms at most.
RT_PERIOD_US, RT_QUOTA_US = 100_000, 80_000


class Left(NamedTuple):
    """What leave_limits() came to: the sentence, and for v2 what go_back() needs."""

    said: str
    settled: Settled | None = None


def leave_limits(kin: tuple[int, ...], root: str = "/") -> Left:
    """Move this process out of every limited memory cgroup (v1), and under memory.min (v2). kin: pids of the daemon."""
    v1 = memcg_v1_root(root)
    try:
        if v1:
            return Left(_leave_v1(v1, _own(root, b"memory")))
        v2 = cgroup_v2_root(root)
        if v2 and memory_min.has_controller(v2):
            return _settle_v2(v2, _own(root, b""), OURSELVES_BYTES, kin)
    except OSError as error:
        return Left(f"own memory cgroup refused: {error.strerror}")
    return Left("no memory cgroups")


def go_back(left: Left) -> None:
    """At the end: to where we were before leave_limits(), as far as that is still there."""
    try:
        if left.settled is not None:
            memory_min.leave(left.settled)
    except OSError:
        pass


def take_rt_quota(root: str = "/") -> str:
    """Move this process into a v1 cpu cgroup with a real-time quota; "" where the kernel has no such thing.

    With RT_GROUP_SCHED a cpu cgroup without one refuses SCHED_FIFO, so the quota is set before the move.
    """
    v1 = cpu_v1_root(root)
    if not v1 or not os.path.exists(os.path.join(v1, "cpu.rt_runtime_us")):
        return ""
    directory = os.path.join(v1, NAME)
    try:
        os.makedirs(directory, exist_ok=True)
        if int(read(directory, "cpu.rt_runtime_us")) != RT_QUOTA_US:
            write(directory, "cpu.rt_runtime_us", "0")  # or the new period could ask for more than there is
            write(directory, "cpu.rt_period_us", str(RT_PERIOD_US))
            write(directory, "cpu.rt_runtime_us", str(RT_QUOTA_US))
        write(directory, "cgroup.procs", "0")
    except OSError as error:
        return f"own cpu cgroup refused: {error.strerror}"
    return f"cpu cgroup {directory}: real-time quota {RT_QUOTA_US // 1000} of {RT_PERIOD_US // 1000} ms"


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


def _leave_v1(top: str, own: str) -> str:
    below = limited_below(top, own, "memory.limit_in_bytes")
    if below is None:
        return f"memory cgroup {own}: no limit"
    target = os.path.dirname(below)
    write(target, "cgroup.procs", "0")
    return f"memory cgroup {target[len(top) :] or '/'}: left {own}, which is limited"


def _settle_v2(top: str, own: str, wanted: int, kin: tuple[int, ...]) -> Left:
    limited = limited_below(top, own, "memory.max")
    settled = memory_min.settle(top, top + own.rstrip("/"), limited, wanted, kin)
    said = f"memory cgroup {settled.directory[len(top) :]}: memory.min {wanted >> 20} MiB"
    if settled.counts < wanted:
        said += f", of which {settled.counts >> 20} MiB count: the cgroups above it have no more"
    return Left(said, settled)


def _own(root: str, controller: bytes) -> str:
    # Path of our cgroup in the hierarchy of a v1 controller, or in v2 (b"").
    with open(under(root, "/proc/self/cgroup"), "rb") as file:
        for line in file.read().splitlines():
            _, _, rest = line.partition(b":")
            names, _, path = rest.partition(b":")
            if controller in names.split(b","):
                return os.fsdecode(path)
    return "/"
