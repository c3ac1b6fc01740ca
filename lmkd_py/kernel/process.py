"""A process as /proc shows it: what the steward pins of it, and the two reads the killer makes."""

from __future__ import annotations

from typing import NamedTuple

# read_rss_pages and read_adj answer READ_FAILED - errno when the read fails: below every size and every adj.
READ_FAILED = -10000
PF_KTHREAD = 0x00200000


class ProcessStat(NamedTuple):
    """The fields of /proc/PID/stat we use."""

    comm: bytes
    state: bytes  # one letter; Z is a zombie, X dead
    ppid: int
    flags: int  # PF_* of the kernel; PF_KTHREAD marks a kernel thread
    start_ticks: int  # field 22: clock ticks after boot


class PinnedProcess(NamedTuple):
    """Descriptors that all belong to one and the same process; owner closes them."""

    pid: int
    uid: int
    adj: int
    start_ticks: int
    pidfd: int
    statm_fd: int  # -1: not wanted
    adj_fd: int  # -1: not wanted


def read_rss_pages(fd: int, buf: bytearray) -> int:
    """Killer: resident pages from a pinned statm (0 for a zombie), or READ_FAILED - errno. `buf` >= 64 bytes."""
    raise NotImplementedError


def read_adj(fd: int, buf: bytearray) -> int:
    """Killer: oom_score_adj (-1000..1000) from a pinned file, or READ_FAILED - errno. `buf` >= 16 bytes."""
    raise NotImplementedError


def read_stat(pid: int, root: str = "/") -> ProcessStat:
    """Steward: /proc/PID/stat; OSError if the process is gone, ValueError naming file and item if it cannot be read."""
    raise NotImplementedError


def read_tgid(pid: int, root: str = "/") -> int:
    """Steward: thread group id from /proc/PID/status; equal to `pid` for a process, another for a mere thread."""
    raise NotImplementedError


def pin(pid: int, sized: int = 1) -> PinnedProcess:
    """Steward: open pidfd and, if `sized`, statm and oom_score_adj of one process, and read each of them once.

    The pidfd is asked after the files were opened, so all of them belong to it even if pids are being recycled.
    OSError (ESRCH, ENOENT: gone; EMFILE: no descriptors left), nothing stays open then.
    """
    raise NotImplementedError
