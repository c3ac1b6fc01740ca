"""Our place among the cgroups: under no memory limit, protected where v2 can, with a real-time quota of our own.

Start-up only. Every function returns a sentence on what it came to and raises nothing: what a machine refuses is
reported. `root` is where /proc and /sys are looked up (a captured tree in tests).
"""

from __future__ import annotations

import os

from .mounts import cgroup_v2_root, cpu_v1_root, memcg_v1_root, under

NAME = "lmkd_py"  # of the cgroups we make; shared by all daemons of a machine
PROTECTED_BYTES = 32 << 20  # memory.min: both processes with room to spare
# Real-time share: far more than the killer needs at its busiest (a per cent or two). In short periods, so that a killer
# that did spend it all would be held back for 20 ms at most.
RT_PERIOD_US, RT_QUOTA_US = 100_000, 80_000
_UNLIMITED = 1 << 60  # v1 says "no limit" with a number near 2^63


def leave_limits(root: str = "/") -> str:
    """Move this process out of every limited memory cgroup (v1), and under memory.min (v2)."""
    v1 = memcg_v1_root(root)
    try:
        if v1:
            return _leave_v1(v1, _own(root, b"memory"))
        v2 = cgroup_v2_root(root)
        own = _own(root, b"")
        if v2 and (own.strip("/") == "" or os.path.exists(os.path.join(v2 + own, "memory.min"))):
            return _settle_v2(v2, own)
    except OSError as error:
        return f"own memory cgroup refused: {error.strerror}"
    return "no memory cgroups"


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
        if int(_read(directory, "cpu.rt_runtime_us")) != RT_QUOTA_US:
            _write(directory, "cpu.rt_runtime_us", "0")  # or the new period could ask for more than there is
            _write(directory, "cpu.rt_period_us", str(RT_PERIOD_US))
            _write(directory, "cpu.rt_runtime_us", str(RT_QUOTA_US))
        _write(directory, "cgroup.procs", "0")
    except OSError as error:
        return f"own cpu cgroup refused: {error.strerror}"
    return f"cpu cgroup {directory}: real-time quota {RT_QUOTA_US // 1000} of {RT_PERIOD_US // 1000} ms"


def leave_rt_quota(root: str = "/") -> None:
    """Back to the root cpu cgroup, where SCHED_FIFO is never refused for want of a quota."""
    try:
        _write(cpu_v1_root(root), "cgroup.procs", "0")
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
    below = _limited_below(top, own, "memory.limit_in_bytes")
    if below is None:
        return f"memory cgroup {own}: no limit"
    target = os.path.dirname(below)
    _write(target, "cgroup.procs", "0")
    return f"memory cgroup {target[len(top) :] or '/'}: left {own}, which is limited"


def _settle_v2(top: str, own: str) -> str:
    below = _limited_below(top, own, "memory.max")
    directory = top + own.rstrip("/")
    if below is None and own.strip("/") and _alone(directory):
        _write(directory, "memory.min", str(PROTECTED_BYTES))
        return f"memory cgroup {own}: memory.min {PROTECTED_BYTES >> 20} MiB"
    parent = os.path.dirname(below or directory) if own.strip("/") else top
    directory = os.path.join(parent, NAME)
    os.makedirs(directory, exist_ok=True)
    _write(directory, "memory.min", str(PROTECTED_BYTES))
    _write(directory, "cgroup.procs", "0")
    return f"memory cgroup {directory[len(top) :]}: memory.min {PROTECTED_BYTES >> 20} MiB"


def _alone(directory: str) -> bool:
    ours = (os.getpid(), os.getppid())
    return all(int(word) in ours for word in _read(directory, "cgroup.procs").split())


def _limited_below(top: str, own: str, name: str) -> str | None:
    # The highest cgroup on the way down to ours that has a limit; leaving it means to go to its parent.
    directory = top
    for part in own.strip("/").split("/"):
        directory = os.path.join(directory, part)
        try:
            text = _read(directory, name).strip()
        except FileNotFoundError:
            continue
        if text.isdigit() and int(text) < _UNLIMITED:
            return directory
    return None


def _own(root: str, controller: bytes) -> str:
    # Path of our cgroup in the hierarchy of a v1 controller, or in v2 (b"").
    with open(under(root, "/proc/self/cgroup"), "rb") as file:
        for line in file.read().splitlines():
            _, _, rest = line.partition(b":")
            names, _, path = rest.partition(b":")
            if controller in names.split(b","):
                return os.fsdecode(path)
    return "/"


def _read(directory: str, name: str) -> str:
    # Bytes: a codec is one more module to find, and whoever may not read the interpreter's library has none.
    with open(os.path.join(directory, name), "rb") as file:
        return file.read().decode()


def _write(directory: str, name: str, text: str) -> None:
    with open(os.path.join(directory, name), "wb", buffering=0) as file:
        file.write(text.encode())
