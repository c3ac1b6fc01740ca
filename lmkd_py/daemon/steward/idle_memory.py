"""The memory of one idle application, while it is paged out piece by piece."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

from ...kernel.acting.paging import Advised, Mappings
from ...kernel.acting.syscalls import pidfd_send_signal

if TYPE_CHECKING:
    from .candidates.candidates import CandidateProcess

CALL_KB = 256  # of one system call: a page takes some 20 us to compress on a slow CPU
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class IdleMemory:
    """What a process has, and what has become of it. open() first, close() in the end."""

    def __init__(self, process: CandidateProcess, min_adj: int) -> None:
        self.process = process
        self.min_adj = min_adj
        self.anon_kb = 0  # resident before anything was paged out
        self.fell_kb = 0  # by so much less is resident now
        self._advised = Advised(process.pidfd, CALL_KB << 10)
        self._mappings: Mappings | None = None

    @property
    def advised_kb(self) -> int:
        """So much was advised; not all of it need be resident."""
        return self._advised.bytes >> 10

    @property
    def is_open(self) -> bool:
        """Whether there is anything to page out."""
        return self._mappings is not None

    def open(self) -> None:
        """Find out how much there is. OSError: it is gone, or nobody may look."""
        if not self._is_idle():
            return
        self.anon_kb = self._resident_kb()
        mappings = Mappings(self.process.pid)
        # The pidfd is older than what was opened: alive now means that all of it is the same process's.
        if pidfd_send_signal(self.process.pidfd, 0) == 0:
            self._mappings = mappings
        else:
            mappings.close()

    def advance(self, until_s: float, most_kb: int) -> bool:
        """Page out until that time (CLOCK_MONOTONIC), or so much. False: that was all. OSError: see HOPELESS."""
        if self._mappings is None or not self._is_idle():
            return False
        most_kb += self.advised_kb
        try:
            while self.advised_kb < most_kb:
                if self._advised.ranges:
                    self._advised.advance()
                else:
                    found = self._mappings.next()
                    if found is None:
                        return False
                    self._advised.ranges = found
                if monotonic() >= until_s:
                    break
            return True
        finally:
            resident_kb = self._resident_kb()
            if resident_kb > 0:  # else it is gone, and not by us
                self.fell_kb = max(self.fell_kb, self.anon_kb - resident_kb)

    def close(self) -> None:
        """May be called twice."""
        if self._mappings is not None:
            self._mappings.close()

    def _is_idle(self) -> bool:
        # Asked of the process itself: what we were told of it may be a scan old.
        try:
            return int(self._read("oom_score_adj")) >= self.min_adj
        except ValueError:
            return False

    def _resident_kb(self) -> int:
        # Fields 2 and 3 of statm: what is resident, and what of that belongs to files and shared memory.
        try:
            words = self._read("statm").split()
            return (int(words[1]) - int(words[2])) * PAGE_KB
        except (OSError, IndexError, ValueError):
            return 0  # it is gone

    def _read(self, name: str) -> bytes:
        fd = os.open(f"/proc/{self.process.pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, 128)
        finally:
            os.close(fd)
