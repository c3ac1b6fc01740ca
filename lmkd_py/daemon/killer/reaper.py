"""Two threads that run process_mrelease on fresh victims, so that a victim's address space goes at once.

They run no Python but this loop, at the killer's own scheduling priority: a reaper that is preempted while it
holds the interpreter lock would hold up the killer. Two, because a victim's mmap lock can block one.
"""

from __future__ import annotations

import _thread
import os
from errno import ENOMEM
from time import monotonic_ns
from typing import Callable

from ...kernel.acting.syscalls import process_mrelease

REAPERS = 2
STACK_BYTES = 128 << 10  # the default 8 MiB would all be locked
EAGAIN = 11
LAST, FIRST = 0, 1
BOTH = (LAST, FIRST)  # taken from the end


class Job:
    """One reaper's work. The killer writes pidfd and releases `wake`; the reaper writes the rest and clears `busy`."""

    __slots__ = ("busy", "pidfd", "reap_ns", "result", "tokens", "wake")

    def __init__(self) -> None:
        self.wake = _thread.allocate_lock()
        self.wake.acquire()
        self.pidfd = -1
        # One token for the reaper, one for the killer. pop() is one step of the interpreter: whoever takes the second
        # is the last to use the pidfd and closes it.
        self.tokens: list[int] = []
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
        if job.tokens.pop() == LAST:
            os.close(job.pidfd)
        job.busy = 0


class Reapers:
    """The pool. `start` runs `prepare` in each thread (scheduling), before anything is armed."""

    def __init__(self) -> None:
        self.jobs = [Job() for _ in range(REAPERS)]

    def start(self, prepare: Callable[[], None]) -> None:
        """Start-up. One thread for each job; OSError where there are no threads to be had."""
        _thread.stack_size(STACK_BYTES)
        for job in self.jobs:
            try:
                _thread.start_new_thread(_reap, (job, prepare))
            except RuntimeError as error:  # all that Python says of pthread_create's errno
                raise OSError(ENOMEM, str(error)) from None

    def reap(self, pidfd: int) -> Job | None:
        """Hand a struck victim over; None when both are busy (its own exit will have to do)."""
        for job in self.jobs:
            if not job.busy:
                job.pidfd = pidfd
                job.result = job.reap_ns = 0
                job.tokens += BOTH
                job.busy = 1
                job.wake.release()
                return job
        return None

    def let_go(self, pidfd: int, job: Job | None) -> None:
        """The killer needs the pidfd no more: it is closed now, or by the reaper that still works on it."""
        if job is None or job.tokens.pop() == LAST:
            os.close(pidfd)
