"""System call numbers of the calls libc does not wrap (or wraps too thickly), one line an architecture.

Chosen by os.uname().machine and the size of a pointer: a 32-bit Python under a 64-bit ARM kernel sees "aarch64" but
speaks the arm table. Source: the kernel's syscall tables; from pidfd_send_signal (424) on all architectures agree.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple


class Numbers(NamedTuple):
    """System call numbers of one architecture."""

    sched_setscheduler: int
    gettid: int
    eventfd2: int
    inotify_init1: int
    inotify_add_watch: int
    prlimit64: int
    memfd_create: int
    perf_event_open: int
    bpf: int
    pidfd_send_signal: int = 424
    pidfd_open: int = 434
    close_range: int = 436
    pidfd_getfd: int = 438
    process_madvise: int = 440
    process_mrelease: int = 448


_TABLES = {
    "x86_64": Numbers(144, 186, 290, 294, 254, 302, 319, 298, 321),
    "aarch64": Numbers(119, 178, 19, 26, 27, 261, 279, 241, 280),
    "riscv64": Numbers(119, 178, 19, 26, 27, 261, 279, 241, 280),
    "arm": Numbers(156, 224, 356, 360, 317, 369, 385, 364, 386),
    "i386": Numbers(156, 224, 328, 332, 292, 340, 356, 336, 357),
}


def numbers_of(machine: str, pointer_bytes: int) -> Numbers:
    """The table for a uname machine and a pointer size of 4 or 8; OSError where we know none."""
    if pointer_bytes == 4:
        family = "arm" if machine.startswith(("arm", "aarch64")) else "i386"
    else:
        family = "aarch64" if machine == "arm64" else machine
    if family not in _TABLES or (family == "i386" and machine not in ("x86_64", "i386", "i486", "i586", "i686")):
        raise OSError(f"no system call numbers for machine {machine!r} with {8 * pointer_bytes}-bit pointers")
    return _TABLES[family]


NR = numbers_of(os.uname().machine, struct.calcsize("P"))
