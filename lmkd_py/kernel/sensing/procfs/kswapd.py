"""When kswapd last worked, without allocating: the run time of its threads, from /proc/PID/schedstat.

kswapd runs for reclaim only, so its time on the CPU moves when pgscan_kswapd and pgrefill of /proc/vmstat do.
"""

from __future__ import annotations

import errno
import os

from ...acting.process import PF_KTHREAD, read_stat
from .table import Row

RAN_NS = "kswapd_ran_ns"
RUN_TIME = (Row(b"\n", RAN_NS, end=b" ", required=1),)


def schedstat_paths(nodes: int) -> list[str]:
    """One thread a memory node. OSError where they cannot be seen (a pid namespace)."""
    return [f"/proc/{pid}/schedstat" for pid in _threads(nodes)]


def _threads(nodes: int) -> list[int]:
    found: list[int] = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            stat = read_stat(pid)
        except (OSError, ValueError):
            continue  # it has ended
        if stat.flags & PF_KTHREAD and stat.comm.startswith(b"kswapd"):
            found.append(pid)
            if len(found) == nodes:
                return found
    raise OSError(errno.ESRCH, f"{len(found)} of {nodes} kswapd threads are visible")
