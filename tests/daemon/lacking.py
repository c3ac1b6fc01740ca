"""Makes a kernel look as if it lacked something, for one program: functions for subprocess's preexec_fn."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable

from lmkd_py.kernel.acting.numbers import NR

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x1000, 0x4000, 1 << 18, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), what)


def without_syscall(name: str, error: int = errno.ENOSYS) -> Callable[[], None]:
    """From then on this system call (a name of kernel.numbers) answers ENOSYS, as on a kernel that is too old."""
    steps = [
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
        (_JUMP_IF_EQUAL, 0, 1, getattr(NR, name)),
        (_RETURN, 0, 0, _RET_ERRNO | error),
        (_RETURN, 0, 0, _RET_ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = _Program(len(steps), code)

    def install() -> None:
        _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "seccomp")

    return install


def with_private_mounts(
    empty: list[str], unmounted: list[str], replaced: dict[str, str] | None = None
) -> Callable[[], None]:
    """From then on the directories of `empty` are empty, the mount points of `unmounted` are gone, and the files of
    `replaced` are the other files it names. Needs root."""

    def install() -> None:
        _check(_libc.unshare(_CLONE_NEWNS), "unshare")
        _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "make / private")
        for path in empty:
            _check(_libc.mount(b"none", os.fsencode(path), b"tmpfs", 0, None), f"hide {path}")
        for path, other in (replaced or {}).items():
            _check(_libc.mount(os.fsencode(other), os.fsencode(path), None, _MS_BIND, None), f"replace {path}")
        for path in unmounted:
            _check(_libc.umount2(os.fsencode(path), _MNT_DETACH), f"unmount {path}")

    return install
