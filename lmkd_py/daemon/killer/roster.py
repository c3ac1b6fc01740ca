"""Who may be struck, as the killer knows it: rows in arrays sized at start, one linked list per oom_score_adj.

Nothing here grows after arming. A slot's list is AOSP's: insertion at the head, the tail is the least recently
registered. `occupied` has one bit per non-empty slot, so finding the most expendable tier does not depend on how
many processes there are.
"""

from __future__ import annotations

import os
from array import array

from ...core.snapshot import Candidate
from ...core.victims import size_pages
from ...core.vocabulary import ABSENT, ADJ_MAX, CACHED_APP_MIN_ADJ, PERCEPTIBLE_APP_ADJ
from ...kernel.acting.process import read_rss_pages

NOBODY = -1
COLLECT_AT_LEAST = 4  # rows offered to the ranking where the first tier has fewer: runners-up for a failed strike


def _ints(code: str, rows: int, value: int) -> array[int]:
    return array(code, [value]) * rows


class Roster:
    """Rows are numbered by the steward. adj below 0 is never listed: such a process cannot be reached at all."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.pid = _ints("i", rows, 0)
        self.uid = _ints("I", rows, 0)
        self.adj = _ints("h", rows, 0)
        self.pidfd = _ints("i", rows, NOBODY)
        self.statm_fd = _ints("i", rows, NOBODY)
        self.adj_fd = _ints("i", rows, NOBODY)
        self.rss = _ints("i", rows, ABSENT)
        self.swap = _ints("i", rows, ABSENT)  # pages, when the steward last looked
        self.start = _ints("q", rows, 0)
        self.age = _ints("q", rows, 0)
        self.newer = _ints("i", rows, NOBODY)
        self.older = _ints("i", rows, NOBODY)
        self.newest = _ints("i", ADJ_MAX + 1, NOBODY)
        self.oldest = _ints("i", ADJ_MAX + 1, NOBODY)
        self.occupied = 0
        self.fds_held = 0
        self.looked_at = 0
        self._scratch = bytearray(64)

    def add(self, row: int, values: tuple[int, int, int, int, int, int], pidfd: int) -> None:
        """Take over a pidfd; values are (pid, uid, adj, rss_pages, start_ticks, age)."""
        if self.pidfd[row] != NOBODY:
            self.drop(row)
        self.pid[row], self.uid[row], self.adj[row], self.rss[row], self.start[row], self.age[row] = values
        self.swap[row] = ABSENT
        self.pidfd[row] = pidfd
        self.fds_held += 1
        self._link(row)

    def move(self, row: int, adj: int, age: int) -> None:
        """A process got another oom_score_adj, or the same again: either way it becomes its slot's newest."""
        if self.pidfd[row] == NOBODY:
            return
        self._unlink(row)
        self.adj[row] = adj
        self.age[row] = age
        self._link(row)

    def drop(self, row: int) -> None:
        """Remove a row and close its descriptors."""
        pidfd = self.take(row)
        if pidfd != NOBODY:
            os.close(pidfd)

    def take(self, row: int) -> int:
        """Forget a row but hand its pidfd to the caller (a struck victim's death is still awaited)."""
        pidfd = self.pidfd[row]
        if pidfd == NOBODY:
            return NOBODY
        self._unlink(row)
        self.unsize(row)
        self._unpin(row)
        self.pidfd[row] = NOBODY
        self.fds_held -= 1
        return pidfd

    def size(self, row: int, statm_fd: int, adj_fd: int) -> None:
        """Take over the pinned statm and oom_score_adj of a row; of a row already gone they are closed."""
        self.pin(row, adj_fd)
        if self.pidfd[row] == NOBODY:
            os.close(statm_fd)
            return
        self.unsize(row)
        self.statm_fd[row] = statm_fd
        self.fds_held += 1

    def pin(self, row: int, adj_fd: int) -> None:
        """Take over the pinned oom_score_adj of a row; of a row already gone it is closed."""
        if self.pidfd[row] == NOBODY:
            os.close(adj_fd)
            return
        self._unpin(row)
        self.adj_fd[row] = adj_fd
        self.fds_held += 1

    def unsize(self, row: int) -> None:
        """Close the pinned statm of a row; its oom_score_adj stays, as whoever is struck is read first."""
        if self.statm_fd[row] != NOBODY:
            os.close(self.statm_fd[row])
            self.statm_fd[row] = NOBODY
            self.fds_held -= 1

    def _unpin(self, row: int) -> None:
        if self.adj_fd[row] != NOBODY:
            os.close(self.adj_fd[row])
            self.adj_fd[row] = NOBODY
            self.fds_held -= 1

    def _link(self, row: int) -> None:
        adj = self.adj[row]
        if adj < 0:
            return
        head = self.newest[adj]
        self.older[row] = head
        self.newer[row] = NOBODY
        if head == NOBODY:
            self.oldest[adj] = row
            self.occupied |= 1 << adj
        else:
            self.newer[head] = row
        self.newest[adj] = row

    def _unlink(self, row: int) -> None:
        adj = self.adj[row]
        if adj < 0:
            return
        newer, older = self.newer[row], self.older[row]
        if newer == NOBODY:
            self.newest[adj] = older
        else:
            self.older[newer] = older
        if older == NOBODY:
            self.oldest[adj] = newer
        else:
            self.newer[older] = newer
        if self.newest[adj] == NOBODY:
            self.occupied &= ~(1 << adj)

    def oldest_expendable(self, min_adj: int, kill_heaviest: int) -> int:
        """Row of the first in line where age decides; NOBODY where size does, or nobody is at or above min_adj."""
        adj = self.occupied.bit_length() - 1
        if adj < min_adj or kill_heaviest or adj <= PERCEPTIBLE_APP_ADJ:
            return NOBODY
        return self.oldest[adj]

    def relief(self, first: int, min_adj: int, times: int) -> tuple[int, Candidate, Candidate] | None:
        """Who goes before `first`, the first in line, for its size: its row, itself, and `first` with its size.

        As victims.rank has it: the largest of the cached tier, if it is `times` as large. None: nobody does.
        """
        if times == 0 or self.adj[first] < CACHED_APP_MIN_ADJ:
            return None
        in_line = self.candidate(first, 1)
        row, rss, most = first, ABSENT, size_pages(in_line)
        least = times * most
        if least <= 0:
            return None  # dead, or of unknown size
        floor = max(min_adj, CACHED_APP_MIN_ADJ)
        left = self.occupied >> floor << floor
        while left:
            adj = left.bit_length() - 1
            left ^= 1 << adj
            other = self.oldest[adj]
            while other != NOBODY:
                self.looked_at += 1
                pages = self._rss_pages(other)
                size = pages + self.swap[other] if pages > 0 and self.swap[other] > 0 else pages
                if size > most and other != first:
                    row, rss, most = other, pages, size
                other = self.newer[other]
        return (row, self._as_candidate(row, rss), in_line) if row != first and most >= least else None

    def collect(self, min_adj: int, max_adj: int, kill_heaviest: int) -> dict[int, Candidate]:
        """Candidates by row of the most expendable tiers in min_adj..max_adj; reads sizes where size decides.

        Only tiers that are needed are touched: the most expendable one, and the next ones while fewer than
        COLLECT_AT_LEAST rows are known. Of a slot in which age decides, only the oldest few are looked at.
        """
        found: dict[int, Candidate] = {}
        left = self.occupied & ((2 << max_adj) - 1)
        while left and len(found) < COLLECT_AT_LEAST:
            adj = left.bit_length() - 1
            if adj < min_adj:
                break
            left ^= 1 << adj
            by_size = kill_heaviest or adj <= PERCEPTIBLE_APP_ADJ
            row = self.oldest[adj]
            while row != NOBODY:
                found[row] = self.candidate(row, by_size)
                if not by_size and len(found) >= COLLECT_AT_LEAST:
                    break
                row = self.newer[row]
        self.looked_at += len(found)
        return found

    def candidate(self, row: int, by_size: int) -> Candidate:
        """A row as the policy sees it; its size is read where size decides."""
        return self._as_candidate(row, self._rss_pages(row) if by_size else ABSENT)

    def _rss_pages(self, row: int) -> int:
        fd = self.statm_fd[row]
        # Not among the pinned ones: the size it was registered with. Unreadable: dead, so without size.
        return self.rss[row] if fd == NOBODY else max(0, read_rss_pages(fd, self._scratch))

    def _as_candidate(self, row: int, rss_pages: int) -> Candidate:
        return Candidate(
            self.pid[row], self.uid[row], self.adj[row], rss_pages, self.start[row], self.age[row], self.swap[row]
        )
