"""When kswapd last worked, without allocating: the run time of its threads, from /proc/PID/schedstat.

kswapd runs for reclaim only, so its time on the CPU moves when pgscan_kswapd and pgrefill of /proc/vmstat do.
"""

from __future__ import annotations

import errno
import os

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from ..process import PF_KTHREAD, read_stat
from .number import number_at


class Kswapd:
    """One thread a memory node. OSError where they cannot be seen (a pid namespace) or do not tell their time."""

    __slots__ = ("files",)

    def __init__(self, nodes: int) -> None:
        self.files: list[PinnedFile] = []
        try:
            for pid in _threads(nodes):
                self.files.append(PinnedFile(f"/proc/{pid}/schedstat"))
            if self.ran_us() == ABSENT:
                raise OSError(errno.ENODATA, "schedstat has no run time")
        except OSError:
            for file in self.files:
                file.close()
            raise

    def ran_us(self) -> int:
        """Time on the CPU so far, of all of them; ABSENT where it cannot be told."""
        total = 0
        for file in self.files:
            if file.read() < 0:
                return ABSENT
            ran_ns = number_at(file.buf, 1, file.buf.find(b" ", 1, file.end))
            if ran_ns < 0:
                return ABSENT
            total += ran_ns
        return total // 1000


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
    raise OSError(errno.ESRCH, f"{len(found)} of {nodes} kswapd threads are in sight")
