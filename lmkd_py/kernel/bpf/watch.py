"""What happens to processes, told by BPF programs on tracepoints through one small ring: the steward's end.

A record is only a hint to look at a process in /proc, so a late or a wrong one does no harm. Programs and ring are made
by a short-lived child (watch_programs.py). One ring serves all CPUs, and a CPU that goes and comes back changes
nothing, as it would with perf's own rings.

The last close of the links waits for RCU, 200 ms in all, and a steward that dies would be dead that much later. So they
are pinned: to unpin them leaves the waiting to the kernel.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

from ..acting.process import read_tgid
from .loader import apart
from .order import BpfRefused as BpfRefused
from .pins import unpin
from .watch_layout import ADJ, MARKS, RENAMED, RING_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..sensing.domain.placement import Placement

RECORD = struct.Struct("=IIII")  # the kernel's header (length with two flags, page offset), pid, kind
_BUSY = 1 << 31  # the record is still being written
_FULL = RING_BYTES - 2 * RECORD.size  # so much unread: the next record may have been lost


class ProcessWatch:
    """Attached programs. `fd` is readable when there are records; `complete` says that nothing else is to be asked.

    Of processes that are marked everything is told. The programs mark who is born in the domain or comes into it; whom
    a scan finds has to be marked here.
    """

    complete = True

    def __init__(self, fds: list[int], pin_dir: str = "") -> None:
        self.fd = fds[0]
        self._fds = fds
        self._pin_dir = pin_dir
        self._enough = MARKS // 64
        self.renamed: set[int] = set()  # who has given itself another name, as of the last drain()
        page = mmap.PAGESIZE
        self._consumer = mmap.mmap(self.fd, page)
        self._ring = mmap.mmap(self.fd, page + 2 * RING_BYTES, prot=mmap.PROT_READ, offset=page)
        for area in (self._consumer, self._ring):
            area.madvise(mmap.MADV_DONTFORK)  # a killer has no use for them, and would lock them
        self._marks = mmap.mmap(fds[1], max(MARKS, mmap.PAGESIZE))
        self._marks.madvise(mmap.MADV_DONTFORK)
        self._consumed = memoryview(self._consumer).cast("L")
        self._produced = memoryview(self._ring)[:page].cast("L")

    def drain(self) -> tuple[set[int], bool]:
        """Pids to look at, and whether some were lost: then all have to be looked at."""
        begin, end = self._consumed[0], self._produced[0]
        lost = end - begin > _FULL
        at = mmap.PAGESIZE + begin % RING_BYTES  # the data is mapped twice in a row: nothing wraps
        pids: set[int] = set()
        self.renamed.clear()
        unread = self._ring[at : at + (end - begin) // RECORD.size * RECORD.size]
        for length, _, pid, kind in RECORD.iter_unpack(unread):
            if length & _BUSY:
                break
            begin += RECORD.size
            if kind == RENAMED:
                self.renamed.add(pid)
                continue
            # One may write the oom_score_adj of a process through any of its threads.
            pids.add(read_tgid(pid) if kind == ADJ else pid)
        self._consumed[0] = begin
        return pids, lost

    def mark(self, pids: Iterable[int]) -> None:
        """Tell the programs that these processes are in the guarded domain."""
        marks = self._marks
        for pid in pids:
            marks[pid % MARKS] = 1

    def mark_anew(self, members: Sequence[int]) -> None:
        """Mark these processes and no others. Scan afterwards: another may have joined meanwhile."""
        self._marks[:MARKS] = bytes(MARKS)
        self.mark(members)
        self._enough = 2 * len(members) + MARKS // 64

    def is_blurred(self) -> bool:
        """Whether the filter passes so many events of other processes that mark_anew() is due."""
        return self._marks[:MARKS].count(1) > self._enough

    def probe(self) -> None:
        """Give ourselves the oom_score_adj we have: that is an event, too. BpfRefused where it is not ours then."""
        self.mark((os.getpid(),))
        try:
            with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
                adj = file.read(16)
                file.seek(0)
                file.write(adj)
        except OSError as error:
            raise BpfRefused(f"process events by BPF: our own oom_score_adj: {error.strerror}; wanted to try") from None
        if os.getpid() not in self.drain()[0]:
            # Tracepoints tell the machine's own numbers.
            raise BpfRefused("process events by BPF tell other pids than /proc; wanted the machine's own pid namespace")

    def close(self) -> None:
        """The programs leave the kernel."""
        self._consumed.release()
        self._produced.release()
        self._consumer.close()
        self._ring.close()
        self._marks.close()
        for fd in self._fds:
            os.close(fd)
        if self._pin_dir:
            unpin(self._pin_dir)  # behind the descriptors: the last to go is the pin


def watch_processes(least_adj: int, place: Placement, pin_dir: str = "") -> ProcessWatch:
    """Tell births at or above least_adj, another oom_score_adj, moves between cgroups, as far as they touch the domain.

    pin_dir: of this load alone. BpfRefused (one line) where that cannot be done.
    """

    def build() -> tuple[int, list[int], list[str]]:
        from . import watch_programs  # only in the loading process: it must not grow the caller

        return 1, watch_programs.attach_all(least_adj, place, pin_dir), []

    try:
        _, fds, _ = apart(build)
    except BpfRefused:
        if pin_dir:
            unpin(pin_dir)  # it may have been late rather than refused
        raise
    watch = ProcessWatch(fds, pin_dir)
    try:
        watch.probe()
    except BpfRefused:
        watch.close()
        raise
    return watch
