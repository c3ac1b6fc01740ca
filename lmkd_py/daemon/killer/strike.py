"""One strike: the last guards, the signal by pidfd, a negative errno if nothing was struck.

The pidfd is the identity: it was taken when the process was registered and its start time checked, so a recycled
pid cannot be hit. Everything is checked again here, because the steward may have been stuck for a while.
"""

from __future__ import annotations

from errno import EPERM, ESRCH
from os import pread
from typing import NamedTuple

from ...core.vocabulary import ABSENT
from ...kernel.acting.poll import POLLIN, PollSet
from ...kernel.acting.process import READ_FAILED, read_adj
from ...kernel.acting.syscalls import pidfd_send_signal
from .roster import NOBODY, Roster

SIGKILL = 9
NOT_EXPENDABLE = -EPERM  # it has become more important than its place in the ranking, or may never be struck
GONE = -ESRCH


class Struck(NamedTuple):
    """What striking a row came to."""

    error: int  # 0, or why not: GONE, NOT_EXPENDABLE, or the signal's own negative errno
    rss_pages: int  # size of the process
    shared_pages: int  # of them in files and shared memory; ABSENT if unknown
    seen_adj: int  # oom_score_adj as it is now; of NOT_EXPENDABLE below 0: out of reach for good


_GONE = Struck(GONE, ABSENT, ABSENT, ABSENT)


class Striker:
    """Strikes rows of a roster. `never` are pids that no verdict reaches; `signal` is 0 in observe mode."""

    def __init__(self, roster: Roster, never: tuple[int, ...], observe: bool) -> None:
        self.roster = roster
        self.never = never
        self.signal = 0 if observe else SIGKILL
        self._dead = PollSet(1)
        self._text = bytearray(16)

    def strike(self, row: int) -> Struck:
        """Kill path. The last guards, then the signal."""
        return self._strike(row, self.signal)

    def touch(self, row: int) -> Struck:
        """Kill path. The same guards, then signal 0, which nobody notices."""
        return self._strike(row, 0)

    def _strike(self, row: int, signal: int) -> Struck:
        roster = self.roster
        pid = roster.pid[row]
        if pid <= 1 or pid in self.never or roster.adj[row] < 0:
            return Struck(NOT_EXPENDABLE, ABSENT, ABSENT, ABSENT)
        pidfd = roster.pidfd[row]
        if roster.adj_fd[row] != NOBODY:
            # The process may have been raised in priority while the steward could not tell us.
            adj = read_adj(roster.adj_fd[row], self._text)
            if adj <= READ_FAILED:
                return _GONE
            if adj < roster.adj[row]:
                return Struck(NOT_EXPENDABLE, ABSENT, ABSENT, adj)
        if roster.statm_fd[row] == NOBODY:
            rss_pages, shared_pages = roster.rss[row], ABSENT
            if self._has_ended(pidfd):
                return _GONE
        else:
            try:
                statm = pread(roster.statm_fd[row], 64, 0).split(b" ", 3)
                rss_pages, shared_pages = int(statm[1]), int(statm[2])
            except (OSError, ValueError, IndexError):
                rss_pages, shared_pages = 0, ABSENT
            # No memory: dead, or its main thread is a zombie beside live ones.
            if rss_pages == 0 and self._has_ended(pidfd):
                return _GONE
        return Struck(pidfd_send_signal(pidfd, signal), rss_pages, shared_pages, roster.adj[row])

    def _has_ended(self, pidfd: int) -> bool:
        # A zombie takes signals without complaint; its pidfd is readable once the whole group has ended.
        self._dead.set(0, pidfd, POLLIN)
        return self._dead.wait(0) > 0
