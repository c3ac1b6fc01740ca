"""Locks the calling process up: from then on only the kill path's system calls work, and memory does not grow.

A call that is not on the list fails with ENOMEM. brk stays allowed: a libc that is told -ENOMEM by the filter takes
that for an address and crashes later; RLIMIT_DATA makes it fail as the kernel would.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NR, _ARCH = 0, 4  # offsets in struct seccomp_data
_PR_SET_NO_NEW_PRIVS, _SET_MODE_FILTER, _TSYNC = 38, 1, 1
_RLIMIT_DATA = 2

# pread-like reads, eventfds, waiting, the strike and its reaping, descriptors that come and go, locks, clocks, the end.
NAMES = (
    *("read", "write", "readv", "pread64", "preadv", "preadv2", "poll", "ppoll"),
    *("pidfd_send_signal", "process_mrelease"),
    *("recvmsg", "close", "sysinfo", "futex", "clock_gettime", "brk", "restart_syscall", "rt_sigreturn", "exit_group"),
)
_X86_64_NUMBERS = (0, 1, 19, 17, 295, 327, 7, 271, 424, 448, 47, 3, 99, 202, 228, 12, 219, 15, 231)
_AARCH64_NUMBERS = (63, 64, 65, 67, 69, 286, 73, 73, 424, 448, 212, 57, 179, 98, 113, 214, 128, 139, 94)
_SECCOMP = {_X86_64: 317, _AARCH64: 277}

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _data_bytes() -> int:
    # What RLIMIT_DATA counts: private writable mappings.
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) << 10
    raise OSError(errno.ENOENT, "no VmData in /proc/self/status")


def lock_up() -> None:
    """Install the seccomp filter for all threads of this process."""
    arch = _AARCH64 if os.uname().machine == "aarch64" else _X86_64
    numbers = _AARCH64_NUMBERS if arch == _AARCH64 else _X86_64_NUMBERS
    steps = [(_LOAD, 0, 0, _ARCH), (_JUMP_IF_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NR)]
    for index, number in enumerate(numbers):
        steps.append((_JUMP_IF_EQUAL, len(numbers) - index, 0, number))
    steps += [(_RETURN, 0, 0, _ERRNO | errno.ENOMEM), (_RETURN, 0, 0, _ALLOW)]
    code = b"".join([struct.pack("=HBBI", *step) for step in steps])
    program = _Program(len(steps), code)
    limits = (ctypes.c_uint64 * 2)(_data_bytes(), _data_bytes())
    if _libc.setrlimit(_RLIMIT_DATA, limits) < 0:
        raise OSError(ctypes.get_errno(), "setrlimit")
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if _libc.syscall(_SECCOMP[arch], _SET_MODE_FILTER, _TSYNC, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
