"""The processes that may be killed: each identified once by pidfd and start time, then handed to the killer.

Guards here and in the killer are not configurable: pid 1, kernel threads, ourselves, our parent and anything with
a negative oom_score_adj are never candidates.
"""

from __future__ import annotations

import os
import select

from ....core.vocabulary import ABSENT, ADJ_MAX, ADJ_MIN
from ....kernel.acting.process import PF_KTHREAD, read_stat
from ....kernel.acting.syscalls import pidfd_open, pidfd_send_signal
from ... import shared as layout
from ...shortage import is_shortage
from .outbox import Outbox
from .pins import close_all, pin
from .ranking import Ranking
from .refused import CandidateRefused, KernelThread, NoRoom, refused_by_kernel

SIZES = ("statm", "oom_score_adj")
PIN_AHEAD = 256  # descriptors that wait for the killer count against our own limit
DEATH = select.EPOLLIN  # a pidfd is readable once its process has ended


class CandidateProcess:
    """One candidate as the steward holds it; `row` is its number in the killer."""

    __slots__ = (
        *("adj", "age", "cgroup", "cmdline", "name", "named_as", "named_in", "pid", "pidfd", "pinned"),
        *("registered", "row", "sized", "start_ticks", "swap_pages", "uid"),
    )

    def __init__(self, pid: int, uid: int, adj: int, pidfd: int, start_ticks: int, name: str) -> None:
        self.pid = pid
        self.uid = uid
        self.adj = adj
        self.pidfd = pidfd
        self.start_ticks = start_ticks
        self.name = name  # comm
        self.cmdline = ""
        self.cgroup = ""
        self.age = 0
        self.row = -1
        self.sized = False  # the killer has its statm and its oom_score_adj
        self.pinned = False  # the killer has its oom_score_adj
        self.swap_pages = ABSENT  # as the killer was told last
        self.named_in = 0  # number of the trace file that says who it is; 0: none does
        self.named_as = 0  # hash of what it says
        self.registered = False  # named by the registration file or a client, not found by a scan

    def values(self, value: int = 0) -> tuple[int, int, int, int, int, int, int]:
        """The fields of its inbox record."""
        return (self.pid, self.uid, self.adj, ABSENT, self.start_ticks, self.age, value)


class Candidates:
    """All candidates by pid. Every change goes to `outbox`, when there is a killer to take it.

    `deaths` is readable when a candidate has died; dead() says which. A change that fails for want of memory has not
    happened (OSError, MemoryError): it can be tried again. mend() sees to it that the killer knows the same.
    """

    def __init__(self, rows: int, sized_limit: int) -> None:
        self.processes: dict[int, CandidateProcess] = {}
        self.outbox: Outbox | None = None
        self.sized_limit = sized_limit
        self.never: set[int] = {0, 1, os.getpid(), os.getppid()}
        self.rows = rows
        self.deaths = select.epoll()
        self._pid_of: dict[int, int] = {}
        self._free_rows = list(range(rows - 1, -1, -1))
        self._highest = -1  # row ever given
        self.changes = 0  # counts whatever changes who is a candidate, and in which order
        self._age = 0
        self._ranking = Ranking([])
        self._sizes_stale = False
        self._sized: dict[int, CandidateProcess] = {}  # among these are all who are sized,
        self._unpinned: dict[int, CandidateProcess] = {}  # and among these all who are not pinned
        self.short = False

    def register(
        self, pid: int, uid: int, adj: int, start_ticks: int = ABSENT, refresh: bool = True
    ) -> CandidateProcess | None:
        """Add a process or change its adj; None when its adj puts it out of reach. Raises CandidateRefused.

        start_ticks, where known, must be the process's own (a recycled pid is refused). refresh=False keeps the
        place in the slot when the adj has not changed (scans; a registration makes it its slot's newest, as AOSP).
        """
        if not ADJ_MIN <= adj <= ADJ_MAX:
            raise CandidateRefused(f"pid {pid}: oom_score_adj {adj} is outside {ADJ_MIN}..{ADJ_MAX}")
        known = self.processes.get(pid)
        if adj < 0:
            if known is not None:
                self.remove(pid)
            return None
        if known is not None and self._same(known, start_ticks):
            if known.adj != adj or refresh:
                self._stamp(known, adj)
                self._tell(layout.MOVE, known)
            return known
        if known is not None:
            self.remove(pid)
        process = self._identify(pid, uid, adj, start_ticks)
        try:
            self._add(process)
        except BaseException as error:
            os.close(process.pidfd)  # takes it out of `deaths`, too: nobody else has it
            if isinstance(error, OSError) and not is_shortage(error):
                raise refused_by_kernel(pid, error) from None
            raise
        return process

    def _add(self, process: CandidateProcess) -> None:
        try:
            self._stamp(process, process.adj)
            process.row = self._free_rows.pop()
            self._highest = max(self._highest, process.row)
            self.deaths.register(process.pidfd, DEATH)
            self.processes[process.pid] = self._unpinned[process.pid] = process
            self._pid_of[process.pidfd] = process.pid
            self._tell(layout.ADD, process, (os.dup(process.pidfd),) if self.outbox is not None else ())
        except BaseException:
            self._leave_order(process)
            self.processes.pop(process.pid, None)
            self._pid_of.pop(process.pidfd, None)
            if process.row >= 0:
                self._free_rows.append(process.row)
            raise

    def remove(self, pid: int) -> bool:
        """Forget a process, dead or alive; False when it was not known."""
        process = self.processes.get(pid)
        if process is None:
            return False
        self._tell(layout.DROP, process)
        self._leave_order(process)
        del self.processes[pid]
        # Closing alone would not do: the killer's duplicate keeps it in the set, under a number that is free again.
        self.deaths.unregister(process.pidfd)
        del self._pid_of[process.pidfd]
        os.close(process.pidfd)
        self._free_rows.append(process.row)
        self._sizes_stale = True
        self.changes += 1
        return True

    def dead(self) -> list[int]:
        """Pids of candidates that have died since the last call."""
        return [self._pid_of[fd] for fd, _ in self.deaths.poll(0)]

    def hand_over(self, outbox: Outbox, struck: int = 0) -> None:
        """Give everything but a victim that is dying to a killer, each slot in its own order."""
        self.outbox = outbox
        self._unpinned = dict(self.processes)
        for process in sorted(self.processes.values(), key=lambda each: each.age):
            if process.pid == struck:
                continue
            process.sized = process.pinned = False
            process.swap_pages = ABSENT
            self._tell(layout.ADD, process, (os.dup(process.pidfd),))
        self._sizes_stale = True
        self.assign_sizes(alone=True)

    def tell_again(self) -> None:
        """Every place in the ranking once more, in order: the killer has moved somebody down on its own."""
        for process in sorted(self.processes.values(), key=lambda each: each.age):
            self._tell(layout.MOVE, process)

    def tell_swap(self, process: CandidateProcess) -> None:
        """What a candidate has in swap by now, in pages."""
        if self.outbox is not None:
            self.outbox.put(layout.SWAP, process.row, process.values(process.swap_pages))

    def mend(self) -> None:
        """After a change that broke off anywhere: every place once more, so that the killer knows what we know.

        Places that nobody has are told to be empty; a candidate is never missing in between.
        """
        self.changes += 1
        taken = {process.row: process for process in self.processes.values()}
        self._free_rows = [row for row in range(self.rows - 1, -1, -1) if row not in taken]
        self._pid_of = {process.pidfd: process.pid for process in self.processes.values()}
        by_age = sorted(self.processes.values(), key=lambda each: each.age)
        self._ranking = Ranking([(each.pid, each.adj) for each in by_age])
        for process in self.processes.values():
            try:
                self.deaths.register(process.pidfd, DEATH)
            except FileExistsError:
                pass
        if self.outbox is not None:
            for row in range(self._highest + 1):
                if row not in taken:
                    self.outbox.put(layout.DROP, row)
            self.hand_over(self.outbox, self.outbox.shared.words[layout.AWAITED_PID])

    @property
    def unfinished(self) -> bool:
        """True while assign_sizes() has left something for its next call, for want of room in the outbox."""
        return self._sizes_stale and not self.short and self.outbox is not None

    def assign_sizes(self, alone: bool = False) -> None:
        """Pin oom_score_adj of everybody, and statm of the most expendable; with `alone` nothing of the others.

        Each is read once here; later reads do not allocate. `short` is set where there was no memory for it: call it
        again.
        """
        if not self._sizes_stale or self.outbox is None:
            return
        self._sizes_stale = False
        chosen = {process.pid: process for process in self.most_expendable(self.sized_limit, 0)}
        for process in [each for each in self._sized.values() if each.sized and each.pid not in chosen]:
            process.sized = False
            self._tell(layout.UNSIZED, process)
        self._sized = chosen
        for process in chosen.values():
            if not process.sized and self._pin(process, layout.SIZED, SIZES):
                process.sized = process.pinned = True
        if alone:
            self._sizes_stale = True
            return
        self._unpinned = {pid: process for pid, process in self._unpinned.items() if not process.pinned}
        for process in sorted(self._unpinned.values(), key=_expendable_first):
            if process.pid not in chosen:
                if len(self.outbox.backlog) >= PIN_AHEAD:
                    self._sizes_stale = True
                    return
                process.pinned = self._pin(process, layout.PINNED, SIZES[1:])

    def _pin(self, process: CandidateProcess, op: int, names: tuple[str, ...]) -> bool:
        try:
            fds = pin(process.pid, process.pidfd, names)
        except OSError:
            self.short = self._sizes_stale = True
            return False
        if fds is None:
            return False
        self._tell(op, process, fds)
        return True

    def most_expendable(self, count: int, min_adj: int) -> list[CandidateProcess]:
        """The first `count` by falling adj, in a slot the oldest first; none below min_adj."""
        return [self.processes[pid] for pid in self._ranking.first(count, min_adj)]

    def _same(self, known: CandidateProcess, start_ticks: int) -> bool:
        # Ticks are coarse: a pid may have died and come back within one, so the pidfd is always asked too.
        return start_ticks in (ABSENT, known.start_ticks) and pidfd_send_signal(known.pidfd, 0) == 0

    def _identify(self, pid: int, uid: int, adj: int, start_ticks: int) -> CandidateProcess:
        if pid in self.never or not 0 <= pid < 1 << 31 or not 0 <= uid < 1 << 32:
            raise CandidateRefused(f"pid {pid} is never a candidate")
        if not self._free_rows:
            raise NoRoom(f"pid {pid}: no room: {self.rows} candidates are all that RLIMIT_NOFILE allows")
        try:
            pidfd = pidfd_open(pid)
        except OSError as error:
            if is_shortage(error):
                raise
            raise refused_by_kernel(pid, error) from None
        try:
            stat = read_stat(pid)
            if stat.flags & PF_KTHREAD:
                raise KernelThread(f"pid {pid} is a kernel thread", True)
            if start_ticks not in (ABSENT, stat.start_ticks):
                raise CandidateRefused(f"pid {pid} was recycled: started at tick {stat.start_ticks}, not {start_ticks}")
            # The pidfd is older than the read: alive now means that the read was of the same process.
            if stat.state in (b"Z", b"X") or pidfd_send_signal(pidfd, 0) < 0:
                raise CandidateRefused(f"pid {pid} has ended", True)
            return CandidateProcess(pid, uid, adj, pidfd, stat.start_ticks, stat.comm.decode("utf-8", "replace"))
        except BaseException as error:
            os.close(pidfd)
            if isinstance(error, (OSError, ValueError)) and not is_shortage(error):
                raise CandidateRefused(f"pid {pid} has ended", True) from None
            raise

    def _stamp(self, process: CandidateProcess, adj: int) -> None:
        self._age += 1
        self._ranking.place(process.pid, adj, process.adj)
        process.adj = adj
        process.age = self._age
        self._sizes_stale = True
        self.changes += 1

    def _leave_order(self, process: CandidateProcess) -> None:
        self._ranking.drop(process.pid, process.adj)
        self._sized.pop(process.pid, None)
        self._unpinned.pop(process.pid, None)

    def _tell(self, op: int, process: CandidateProcess, fds: tuple[int, ...] = ()) -> None:
        if self.outbox is not None:
            try:
                self.outbox.put(op, process.row, process.values(), fds)
            except BaseException:
                close_all(fds)
                raise


def _expendable_first(process: CandidateProcess) -> tuple[int, int]:
    return -process.adj, process.age
