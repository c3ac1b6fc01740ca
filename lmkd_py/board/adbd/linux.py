"""System calls that Python 3.9 lacks: mounts, namespaces, a path walk that cannot leave its root. One function each."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 0x1, 0x2, 0x4, 0x20
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 47, 2
CAP_SETGID, CAP_SETUID = 6, 7
CAPABILITY_VERSION_3 = 0x20080522
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10
# The two calls glibc has no wrapper for everywhere. openat2 came after the numbers were made the same on all machines.
NR_OPENAT2 = 437
NR_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "armv7l": 218, "armv8l": 218, "riscv64": 41}
WALK_TRIES = 50  # EAGAIN: somebody renamed on the way

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """setns(2). Raises OSError."""
    _checked(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2). Raises OSError."""
    arguments = [word.encode() if word else None for word in (source, target, kind)]
    result = _libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None)
    _checked(result, f"mount {source} on {target}")


def unmount(target: str) -> None:
    """umount2(2) with MNT_DETACH. Raises OSError."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2). Raises OSError."""
    machine = os.uname().machine
    if machine not in NR_PIVOT_ROOT:
        raise OSError(errno.ENOSYS, f"pivot_root: no number known for {machine}")
    _checked(_libc.syscall(NR_PIVOT_ROOT[machine], new.encode(), old.encode()), "pivot_root")


def prctl(option: int, *arguments: int) -> None:
    """prctl(2). Raises OSError."""
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    _checked(_libc.prctl(option, *words), f"prctl {option}")


def set_fs_ids(uid: int, gid: int) -> None:
    """Let this thread's file accesses count as this user's; back to its own with its own ids."""
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)


def keep_capabilities() -> None:
    """Let the permitted ones survive the next change of user."""
    prctl(PR_SET_KEEPCAPS, 1)


def only_capabilities(numbers: tuple[int, ...]) -> None:
    """Have these and no others, over exec too, although not root."""
    mask = sum(1 << number for number in numbers)
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, struct.pack("6I", mask, mask, mask, 0, 0, 0)), "capset")
    for number in numbers:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def open_in_root(root_fd: int, path: bytes, flags: int, mode: int = 0) -> int:
    """open(2) with root_fd as the root for `..`, absolute paths and every link on the way. Linux >= 5.6."""
    if b"\0" in path:
        raise OSError(errno.EINVAL, "a path with a zero byte")
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    for _ in range(WALK_TRIES):
        fd = _libc.syscall(NR_OPENAT2, root_fd, path or b".", how, len(how))
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            break
    raise OSError(code, os.strerror(code), os.fsdecode(path))
