"""Why a process cannot be a candidate."""

from __future__ import annotations

from errno import ESRCH


class CandidateRefused(Exception):
    """The text says why. `expected`: looking at processes meets such all the time (it has ended, is the kernel's)."""

    def __init__(self, text: str, expected: bool = False) -> None:
        super().__init__(text)
        self.expected = expected


class KernelThread(CandidateRefused):
    """It is none of the processes that have memory of their own, and will never be one."""


class NoRoom(CandidateRefused):
    """A process for which there is no place left."""


def refused_by_kernel(pid: int, error: OSError) -> CandidateRefused:
    """What the kernel refused to tell of a process."""
    return CandidateRefused(f"pid {pid}: {error.strerror}", error.errno == ESRCH)
