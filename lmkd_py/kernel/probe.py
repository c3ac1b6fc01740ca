"""What this kernel and our rights allow, found by trying; versions are never compared."""

from __future__ import annotations

import errno
import os
import signal
from typing import Callable, NamedTuple

from .acting import memory, syscalls
from .protection.memalloc import open_window
from .sensing.mounts import cgroup_v2_root, memcg_v1_root
from .sensing.triggers import psi
from .sensing.triggers.event_control import register


class Features(NamedTuple):
    """What this kernel offers; 1 where the probe worked, else 0."""

    pidfd: int
    process_mrelease: int
    psi: int
    psi_short_window: int  # PSI triggers with a window that is no multiple of 2 s (CAP_SYS_RESOURCE)
    vmpressure: int
    memcg_version: int  # 0: no memory controller, 1, 2
    mlockall: int
    sched_fifo: int
    oom_score_adj_min: int  # our own oom_score_adj may be set to -1000
    memalloc_window: int  # device/module is loaded, and grants us PF_MEMALLOC


def probe() -> Features:
    """Try each feature on ourselves and undo it. Allocates; for start-up and `lmkd-py check` only. Never raises.

    Locking and scheduling are tried on a child of fork(), so the caller keeps its own state: call it while small.
    """
    memcg_v1 = memcg_v1_root()
    psi_is_there = _readable("/proc/pressure/memory")
    return Features(
        pidfd=_pidfd(),
        process_mrelease=_process_mrelease(),
        psi=psi_is_there,
        # Not into an empty file that somebody has put over it.
        psi_short_window=_psi_short_window() if psi_is_there else 0,
        vmpressure=_vmpressure(memcg_v1) if memcg_v1 else 0,
        memcg_version=1 if memcg_v1 else _memcg_v2(),
        mlockall=_in_child(lambda: memory.mlockall(memory.MCL_CURRENT | memory.MCL_ONFAULT)),
        sched_fifo=_in_child(lambda: syscalls.sched_setscheduler(os.SCHED_FIFO, 1)),
        oom_score_adj_min=_in_child(_set_oom_score_adj_min),
        memalloc_window=_in_child(lambda: open_window().close()),
    )


def _pidfd() -> int:
    try:
        fd = syscalls.pidfd_open(os.getpid())
    except OSError:
        return 0
    sent = syscalls.pidfd_send_signal(fd, 0)
    os.close(fd)
    return 1 if sent == 0 else 0


def _process_mrelease() -> int:
    # A bad descriptor: EBADF where the kernel has the call, ENOSYS (or EPERM from a seccomp filter) where it has not.
    return 1 if syscalls.process_mrelease(-1) == -errno.EBADF else 0


def _readable(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return 1 if file.read() else 0
    except OSError:
        return 0


def _psi_short_window() -> int:
    try:
        os.close(psi.register("/proc/pressure/memory", "some", 500, 1000))
    except OSError:
        return 0
    return 1


def _vmpressure(directory: str) -> int:
    try:
        event, target = register(directory, "memory.pressure_level", "critical")
    except OSError:
        return 0
    os.close(event)
    os.close(target)
    return 1


def _memcg_v2() -> int:
    directory = cgroup_v2_root()
    try:
        with open(os.path.join(directory, "cgroup.controllers"), "rb") as file:
            return 2 if directory and b"memory" in file.read().split() else 0
    except OSError:
        return 0


def _set_oom_score_adj_min() -> None:
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"-1000")


def _in_child(attempt: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        try:
            attempt()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return 1 if status == 0 else 0
