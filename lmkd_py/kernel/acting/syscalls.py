"""One thin function per system call, with the kernel's name. It does nothing else.

Before arming they raise OSError(errno, "syscall subject: words"). The two of the kill path, `pidfd_send_signal` and
`process_mrelease`, return a negative errno and never raise; they allocate nothing in the kernel that may sleep.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import ctypes
import errno
import os

# Names imported `as` themselves are for our callers: memory and poll calls have files of their own.
from .libc import LIBC, function, oserror, raw_syscall
from .memory import madvise as madvise
from .memory import mallopt as mallopt
from .memory import mlockall as mlockall
from .memory import munlockall as munlockall
from .memory import populate as populate
from .numbers import NR
from .poll import POLLERR as POLLERR
from .poll import POLLHUP as POLLHUP
from .poll import POLLIN as POLLIN
from .poll import POLLNVAL as POLLNVAL
from .poll import POLLPRI as POLLPRI
from .poll import PollSet as PollSet

_int, _uint, _ptr = ctypes.c_int, ctypes.c_uint, ctypes.c_void_p

PR_SET_PDEATHSIG = 1
EFD_CLOEXEC = os.O_CLOEXEC
EFD_NONBLOCK = os.O_NONBLOCK
MFD_CLOEXEC = 1
IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE = 0x8, 0x80, 0x100
RLIMIT_NOFILE = 7  # generic number; same on x86, arm, riscv

_pidfd_open = raw_syscall(_int, _uint)
_pidfd_send_signal = raw_syscall(_int, _int, _ptr, _uint)
_process_mrelease = raw_syscall(_int, _uint)
_pidfd_getfd = raw_syscall(_int, _int, _uint)
_sched_setscheduler = raw_syscall(_int, _int, _ptr)
_gettid = raw_syscall()
_eventfd2 = raw_syscall(_uint, _int)
_memfd_create = raw_syscall(ctypes.c_char_p, _uint)
_perf_event_open = raw_syscall(ctypes.c_char_p, _int, _int, _int, ctypes.c_ulong)
_close_range = raw_syscall(_uint, _uint, _uint)
_inotify_init1 = raw_syscall(_int)
_inotify_add_watch = raw_syscall(_int, ctypes.c_char_p, ctypes.c_uint32)
_prlimit64 = raw_syscall(_int, _int, _ptr, _ptr)
_prctl = function("prctl", _int, _int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def pidfd_open(pid: int) -> int:
    """A close-on-exec pidfd of process `pid` (Linux 5.3)."""
    fd: int = _pidfd_open(NR.pidfd_open, pid, 0)
    if fd < 0:
        raise oserror("pidfd_open", f"pid {pid}")
    return fd


def pidfd_send_signal(pidfd: int, sig: int) -> int:
    """Kill path: 0, or a negative errno (-ESRCH: already dead and reaped). SIGKILL and 0 allocate nothing."""
    try:
        _send_signal(pidfd, sig)
    except OSError as failure:
        return -(failure.errno or errno.EIO)
    return 0


def _send_by_number(pidfd: int, sig: int) -> None:
    # For a Python built with headers older than Linux 5.1.
    if _pidfd_send_signal(NR.pidfd_send_signal, pidfd, sig, None, 0) < 0:
        raise OSError(ctypes.get_errno(), "pidfd_send_signal")


# The interpreter's own function where it has one: a third of the code that ctypes runs through, all of it cold by then.
_send_signal = getattr(_signal, "pidfd_send_signal", _send_by_number)


def process_mrelease(pidfd: int) -> int:
    """Kill path: give back a dying process's memory at once; 0 or a negative errno (-ESRCH: its memory is gone).

    Needs Linux 5.15. Takes up to a few pages without sleeping (GFP_NOWAIT), so it cannot enter reclaim.
    """
    if _process_mrelease(NR.process_mrelease, pidfd, 0) < 0:
        return -ctypes.get_errno()
    return 0


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """Our own duplicate of another process's descriptor `fd` (Linux 5.6)."""
    own: int = _pidfd_getfd(NR.pidfd_getfd, pidfd, fd, 0)
    if own < 0:
        raise oserror("pidfd_getfd", f"fd {fd} of pidfd {pidfd}")
    return own


def sched_setscheduler(policy: int, priority: int) -> None:
    """Scheduling of the calling thread only. Raw, with pid 0: libc's cached thread ids may be stale after a fork."""
    param = ctypes.c_int(priority)
    if _sched_setscheduler(NR.sched_setscheduler, 0, policy, ctypes.byref(param)) < 0:
        raise oserror("sched_setscheduler", f"policy {policy} priority {priority}")


def gettid() -> int:
    """Kernel thread id of the caller, never cached."""
    tid: int = _gettid(NR.gettid)
    return tid


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2); returns its non-negative result."""
    result: int = _prctl(option, arg2, arg3, arg4, arg5)
    if result < 0:
        raise oserror("prctl", f"option {option}")
    return result


def eventfd(initval: int = 0, flags: int = EFD_CLOEXEC | EFD_NONBLOCK) -> int:
    """eventfd2(2): the new descriptor. Raises OSError."""
    fd: int = _eventfd2(NR.eventfd2, initval, flags)
    if fd < 0:
        raise oserror("eventfd", f"flags {flags:#x}")
    return fd


def memfd_create(name: str, flags: int = MFD_CLOEXEC) -> int:
    """memfd_create(2): the new descriptor. Raises OSError."""
    fd: int = _memfd_create(NR.memfd_create, name.encode(), flags)
    if fd < 0:
        raise oserror("memfd_create", name)
    return fd


def perf_event_open(attr: bytes, pid: int, cpu: int, group_fd: int = -1, flags: int = 8) -> int:
    """A performance counter; `attr` is a packed struct perf_event_attr. Default flag: close on exec."""
    fd: int = _perf_event_open(NR.perf_event_open, attr, pid, cpu, group_fd, flags)
    if fd < 0:
        raise oserror("perf_event_open", f"pid {pid} cpu {cpu}")
    return fd


def close_range(first: int, last: int) -> None:
    """Close every open descriptor in [first, last]; a loop over /proc/self/fd on kernels before 5.9."""
    if first > last or _close_range(NR.close_range, first, last, 0) == 0:
        return
    error = ctypes.get_errno()
    if error not in (errno.ENOSYS, errno.EPERM):  # EPERM: an old container seccomp filter
        raise oserror("close_range", f"{first}..{last}", error)
    for name in os.listdir("/proc/self/fd"):
        if first <= int(name) <= last:
            try:
                os.close(int(name))
            except OSError:  # the listing's own descriptor
                continue


def inotify_init1(flags: int = os.O_CLOEXEC | os.O_NONBLOCK) -> int:
    """inotify_init1(2): the new descriptor. Raises OSError."""
    fd: int = _inotify_init1(NR.inotify_init1, flags)
    if fd < 0:
        raise oserror("inotify_init1")
    return fd


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """Watch `path`; returns the watch descriptor."""
    watch: int = _inotify_add_watch(NR.inotify_add_watch, fd, os.fsencode(path), mask)
    if watch < 0:
        raise oserror("inotify_add_watch", path)
    return watch


def getrlimit_nofile() -> tuple[int, int]:
    """(soft, hard) limit of open descriptors. By prlimit64: module `resource` is one more shared object to keep."""
    limits = (ctypes.c_uint64 * 2)()
    if _prlimit64(NR.prlimit64, 0, RLIMIT_NOFILE, None, limits) < 0:
        raise oserror("prlimit64", "NOFILE")
    return limits[0], limits[1]


def setrlimit_nofile(soft: int, hard: int) -> None:
    """Set both limits; EPERM when `hard` is above the present one without CAP_SYS_RESOURCE."""
    limits = (ctypes.c_uint64 * 2)(soft, hard)
    if _prlimit64(NR.prlimit64, 0, RLIMIT_NOFILE, limits, None) < 0:
        raise oserror("prlimit64", f"NOFILE {soft}:{hard}")


def mount(source: str, target: str, kind: str) -> None:
    """mount(2) without options (tracefs for tests and bench)."""
    if LIBC.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(0), None) < 0:
        raise oserror("mount", f"{kind} on {target}")
