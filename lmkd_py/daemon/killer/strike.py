"""One strike: the last guards, the signal by pidfd, a negative errno if nothing was struck.

The pidfd is the identity: it was taken when the process was registered and its start time checked, so a recycled
pid cannot be hit. Everything is checked again here, because the steward may have been stuck for a while.
"""

from __future__ import annotations

from errno import EPERM, ESRCH
from os import pread

from ...core.vocabulary import ABSENT
from ...kernel.poll import POLLIN, PollSet
from ...kernel.syscalls import pidfd_send_signal
from .roster import NOBODY, Roster

SIGKILL = 9
NOT_EXPENDABLE = -EPERM  # it has become more important than its place in the ranking, or may never be struck
GONE = -ESRCH


class Striker:
    """Strikes rows of a roster. `never` are pids that no verdict reaches; `signal` is 0 in observe mode."""

    def __init__(self, roster: Roster, never: tuple[int, ...], observe: bool) -> None:
        self.roster = roster
        self.never = never
        self.signal = 0 if observe else SIGKILL
        self.rss_pages = ABSENT  # size of the last struck
        self.seen_adj = 0  # oom_score_adj of the last NOT_EXPENDABLE as it is now; below 0: out of reach for good
        self._dead = PollSet(1)

    def strike(self, row: int) -> int:
        """0, or why not: GONE, NOT_EXPENDABLE, or the signal's own negative errno."""
        roster = self.roster
        pid = roster.pid[row]
        if pid <= 1 or pid in self.never or roster.adj[row] < 0:
            self.seen_adj = ABSENT
            return NOT_EXPENDABLE
        pidfd = roster.pidfd[row]
        if roster.adj_fd[row] == NOBODY:
            self.rss_pages = roster.rss[row]
            if self._has_ended(pidfd):
                return GONE
        else:
            # The process may have been raised in priority while the steward could not tell us. Read without
            # process.read_adj(): a function less is less to fetch, and all of it is cold.
            try:
                adj = int(pread(roster.adj_fd[row], 16, 0))
            except (OSError, ValueError):
                return GONE
            if adj < roster.adj[row]:
                self.seen_adj = adj
                return NOT_EXPENDABLE
            try:
                rss_pages = int(pread(roster.statm_fd[row], 64, 0).split(b" ", 2)[1])
            except (OSError, ValueError, IndexError):
                rss_pages = 0
            self.rss_pages = rss_pages
            # No memory: dead, or its main thread is a zombie beside live ones.
            if rss_pages == 0 and self._has_ended(pidfd):
                return GONE
        return pidfd_send_signal(pidfd, self.signal)

    def _has_ended(self, pidfd: int) -> bool:
        # A zombie takes signals without complaint; its pidfd is readable once the whole group has ended.
        self._dead.set(0, pidfd, POLLIN)
        return self._dead.wait(0) > 0
