"""Two threads that run process_mrelease on fresh victims, so that a victim's address space goes at once.

They run no Python but this loop, at the killer's own scheduling priority: a reaper that is preempted while it
holds the interpreter lock would hold up the killer. Two, because a victim's mmap lock can block one.
"""

from __future__ import annotations

import _thread
import os
from time import monotonic_ns
from typing import Callable

from ...kernel.syscalls import process_mrelease

REAPERS = 2
STACK_BYTES = 128 << 10  # the default 8 MiB would all be locked
EAGAIN = 11


class Job:
    """One reaper's work. The killer writes pidfd and releases `wake`; the reaper writes the rest and clears `busy`."""

    __slots__ = ("busy", "pidfd", "reap_ns", "result", "wake")

    def __init__(self) -> None:
        self.wake = _thread.allocate_lock()
        self.wake.acquire()
        self.pidfd = -1
        self.busy = 0
        self.result = 0
        self.reap_ns = 0


def _reap(job: Job, prepare: Callable[[], None]) -> None:
    prepare()
    while True:
        job.wake.acquire()
        began = monotonic_ns()
        result = process_mrelease(job.pidfd)
        if result == -EAGAIN:  # the mmap lock was contended; once more, then its own exit frees it
            result = process_mrelease(job.pidfd)
        job.reap_ns = monotonic_ns() - began
        job.result = result
        job.busy = 0


class Reapers:
    """The pool. `start` runs `prepare` in each thread (scheduling), before anything is armed."""

    def __init__(self) -> None:
        self.jobs = [Job() for _ in range(REAPERS)]
        self._to_close: list[tuple[Job, int]] = []

    def start(self, prepare: Callable[[], None]) -> None:
        """Start the threads."""
        _thread.stack_size(STACK_BYTES)
        for job in self.jobs:
            _thread.start_new_thread(_reap, (job, prepare))

    def reap(self, pidfd: int) -> Job | None:
        """Hand a struck victim over; None when both are busy (its own exit will have to do)."""
        for job in self.jobs:
            if not job.busy:
                job.pidfd = pidfd
                job.result = job.reap_ns = 0
                job.busy = 1
                job.wake.release()
                return job
        return None

    def close(self, pidfd: int, job: Job | None) -> None:
        """Close a victim's pidfd as soon as no reaper works on it."""
        if job is not None and job.busy and job.pidfd == pidfd:
            self._to_close.append((job, pidfd))
        else:
            os.close(pidfd)

    def tidy(self) -> None:
        """Close what a reaper has finished with."""
        for entry in self._to_close[:]:
            job, pidfd = entry
            if not job.busy:
                os.close(pidfd)
                self._to_close.remove(entry)
