"""A process as /proc shows it: what the steward pins of it, and what is read from there."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from .syscalls import pidfd_open, pidfd_send_signal

# read_rss_pages and read_adj answer READ_FAILED - errno when the read fails: below every size and every adj.
READ_FAILED = -10000
PF_KTHREAD = 0x00200000


class ProcessStat(NamedTuple):
    """The fields of /proc/PID/stat that the daemon uses."""

    comm: bytes
    state: bytes  # one letter; Z is a zombie, X dead
    ppid: int
    flags: int  # PF_* of the kernel; PF_KTHREAD marks a kernel thread
    start_ticks: int  # field 22: clock ticks after boot


class Identity(NamedTuple):
    """Who a process is at the moment. A zombie has no command line any more."""

    start_ticks: int
    uid: int
    comm: bytes
    cmdline: bytes  # the first argument alone; on Android the package
    cgroup: bytes  # path in the memory hierarchy, else in v2


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
    """Killer: resident pages from a pinned statm (0 for a zombie), or READ_FAILED - errno. `buf` >= 64 bytes.

    -ESRCH as errno says the process is gone; EIO that the text was no statm.
    """
    try:
        got = os.preadv(fd, (buf,), 0)
    except OSError as failure:
        return READ_FAILED - (failure.errno or errno.EIO)
    start = buf.find(b" ", 0, got)
    stop = buf.find(b" ", start + 1, got)
    text = buf[start + 1 : stop]
    if start < 0 or stop < 0 or not text.isdigit():
        return READ_FAILED - errno.EIO
    return int(text)


def read_adj(fd: int, buf: bytearray) -> int:
    """oom_score_adj (-1000..1000) from a pinned file, or READ_FAILED - errno. `buf` >= 16 bytes."""
    try:
        got = os.preadv(fd, (buf,), 0)
    except OSError as failure:
        return READ_FAILED - (failure.errno or errno.EIO)
    try:
        adj = int(buf[:got])
    except ValueError:
        return READ_FAILED - errno.EIO
    return adj if -1000 <= adj <= 1000 else READ_FAILED - errno.EIO


def _slurp(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 16384)
    finally:
        os.close(fd)


def parse_stat(text: bytes, path: str) -> ProcessStat:
    """The comm may hold spaces, newlines and parentheses; behind the *last* ')' there are only numbers."""
    opening, closing = text.find(b"("), text.rfind(b")")
    fields = text[closing + 1 :].split()
    if opening < 0 or closing < opening:
        raise ValueError(f"{path}: line 1: no command name in parentheses")
    if len(fields) < 20:
        raise ValueError(f"{path}: line 1: {len(fields)} fields after the command name, wanted at least 20")
    try:
        ppid, flags, start = int(fields[1]), int(fields[6]), int(fields[19])
    except ValueError:
        raise ValueError(f"{path}: line 1: ppid, flags or starttime is no number") from None
    return ProcessStat(text[opening + 1 : closing], fields[0], ppid, flags, start)


def parse_uid(text: bytes, path: str) -> int:
    """Real uid of a status file. The kernel escapes a newline in a command name here, so lines are lines."""
    at = text.find(b"\nUid:")
    words = text[at + 5 : text.find(b"\n", at + 1)].split()
    if at < 0 or not words or not words[0].isdigit():
        raise ValueError(f"{path}: no line 'Uid:' with a number")
    return int(words[0])


def read_stat(pid: int, root: str = "/") -> ProcessStat:
    """Steward: /proc/PID/stat; OSError if the process is gone, ValueError naming file and item if it cannot be read."""
    path = os.path.join(root, "proc", str(pid), "stat")
    return parse_stat(_slurp(path), path)


def read_uid(pid: int, root: str = "/") -> int:
    """Steward: real uid from /proc/PID/status; the owner of the directory would be root for a non-dumpable process."""
    path = os.path.join(root, "proc", str(pid), "status")
    return parse_uid(_slurp(path), path)


def parse_swap_kb(text: bytes, path: str) -> int:
    """kB in swap (line VmSwap) of a status file; 0 for a zombie or a kernel thread, which have no such line."""
    at = text.find(b"\nVmSwap:")
    if at < 0:
        return 0
    words = text[at + 8 : text.find(b"\n", at + 1)].split()
    if len(words) != 2 or not words[0].isdigit():
        raise ValueError(f"{path}: line 'VmSwap:' has no number of kB")
    return int(words[0])


def read_swap_kb(pid: int, root: str = "/") -> int:
    """Steward: what a process has in swap; OSError if it is gone, ValueError naming the file if it cannot be read."""
    path = os.path.join(root, "proc", str(pid), "status")
    return parse_swap_kb(_slurp(path), path)


def read_identity(pid: int, root: str = "/") -> Identity:
    """Steward: OSError if the process is gone, ValueError naming file and item if it cannot be read."""
    stat = read_stat(pid, root)
    place = os.path.join(root, "proc", str(pid))
    cmdline = _slurp(os.path.join(place, "cmdline")).partition(b"\0")[0]
    return Identity(stat.start_ticks, read_uid(pid, root), stat.comm, cmdline.strip(), _cgroup(place))


def _cgroup(place: str) -> bytes:
    try:
        lines = [line.split(b":", 2) for line in _slurp(os.path.join(place, "cgroup")).splitlines()]
    except FileNotFoundError:
        return b""  # a kernel without cgroups
    found = {name: path for _, names, path in (line for line in lines if len(line) == 3) for name in names.split(b",")}
    return found.get(b"memory", found.get(b"", b""))


def read_tgid(pid: int) -> int:
    """Steward: the process that a thread belongs to; the number itself where that cannot be told any more."""
    try:
        text = _slurp(f"/proc/{pid}/status")
    except OSError:
        return pid
    words = text[text.find(b"\nTgid:") + 6 :].split(None, 1)
    return int(words[0]) if words and words[0].isdigit() else pid


def pin(pid: int, sized: int = 1) -> PinnedProcess:
    """Steward: open pidfd and, if `sized`, statm and oom_score_adj of one process, and read each of them once.

    The first read of a statm makes the kernel allocate its buffer, so it happens here and not in the killer. The pidfd
    is asked last: if the process still lives then, all descriptors opened after the pidfd belong to it, even while
    pids are being recycled. OSError (ESRCH, ENOENT: gone; EMFILE: no descriptors left); nothing stays open then.
    """
    opened = [pidfd_open(pid)]
    try:
        directory = f"/proc/{pid}"
        uid = read_uid(pid)
        start_ticks = read_stat(pid).start_ticks
        opened.append(os.open(f"{directory}/oom_score_adj", os.O_RDONLY | os.O_CLOEXEC))
        scratch = bytearray(64)
        adj = read_adj(opened[1], scratch)
        if sized:
            opened.append(os.open(f"{directory}/statm", os.O_RDONLY | os.O_CLOEXEC))
            read_rss_pages(opened[2], scratch)
        else:
            os.close(opened.pop())
        alive = pidfd_send_signal(opened[0], 0)
        if alive < 0 or adj <= READ_FAILED:
            raise OSError(errno.ESRCH, f"pin pid {pid}: {os.strerror(errno.ESRCH)}")
    except (OSError, ValueError):
        for fd in opened:
            os.close(fd)
        raise
    return PinnedProcess(pid, uid, adj, start_ticks, opened[0], opened[2] if sized else -1, opened[1] if sized else -1)
