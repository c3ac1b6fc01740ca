"""One perf ring buffer for each CPU: tracepoint records with CLOCK_MONOTONIC times, and a count of what was lost.

perf_event_open(2) rather than a tracefs instance: the kernel frees it with our last fd, however we die; the time has
full nanoseconds; and a lost record is counted by the kernel instead of being printed into the stream.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

NR_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "armv7l": 364}
PERF_TYPE_TRACEPOINT = 2
SAMPLE_TID, SAMPLE_TIME, SAMPLE_CPU, SAMPLE_RAW = 2, 4, 128, 1024
FORMAT_LOST = 16  # Linux 6.0: read() also returns the records this event could not write
FLAG_DISABLED, FLAG_USE_CLOCKID = 1 << 0, 1 << 25
IOC_ENABLE, IOC_SET_OUTPUT, IOC_SET_FILTER = 0x2400, 0x2405, 0x40082406
RECORD_LOST, RECORD_THROTTLE, RECORD_SAMPLE = 2, 5, 9
ATTR = struct.Struct("<IIQQQQQIIQQQQIiQIHH")  # struct perf_event_attr, version 5: 112 bytes
SAMPLE = struct.Struct("<IIQIII")  # pid, tid, time, cpu, reserved, raw size
HEAD, TAIL = 1024, 1032  # data_head and data_tail in struct perf_event_mmap_page

libc = ctypes.CDLL(None, use_errno=True)


class Sample(NamedTuple):
    """One tracepoint hit: when (CLOCK_MONOTONIC ns), in whose context, and the tracepoint's own bytes."""

    time_ns: int
    pid: int
    tid: int
    cpu: int
    raw: bytes


def online_cpus() -> list[int]:
    """Numbers of the CPUs that are online."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as stream:
        ranges = [part.split("-") for part in stream.read().strip().split(",")]
    return [cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1)]


def perf_event_open(tracepoint: int, cpu: int) -> tuple[int, bool]:
    """Fd of a stopped counter of one tracepoint on one CPU, and whether read() will tell its losses."""
    for read_format in (FORMAT_LOST, 0):
        attr = ATTR.pack(
            PERF_TYPE_TRACEPOINT, ATTR.size, tracepoint, 1, SAMPLE_TID | SAMPLE_TIME | SAMPLE_CPU | SAMPLE_RAW,
            read_format, FLAG_DISABLED | FLAG_USE_CLOCKID, 1, 0, 0, 0, 0, 0, 0, time.CLOCK_MONOTONIC, 0, 0, 0, 0,
        )  # fmt: skip
        number = NR_PERF_EVENT_OPEN[platform.machine()]
        fd = libc.syscall(number, attr, -1, cpu, -1, 8)  # 8: PERF_FLAG_FD_CLOEXEC
        if fd >= 0:
            return fd, bool(read_format)
    code = ctypes.get_errno()
    raise OSError(code, f"perf_event_open tracepoint {tracepoint} on cpu {cpu}: {os.strerror(code)}")


class Ring:
    """All wanted tracepoints of one CPU in one buffer, in the order they happened there."""

    def __init__(self, cpu: int, tracepoints: list[tuple[int, str]], pages: int) -> None:
        """tracepoints: numbers with a kernel filter each ("" for none); pages: size of the buffer, a power of two."""
        self._fds: list[int] = []
        self._told: list[int] = []  # fds whose read() tells losses
        self._marked = 0  # losses told by records, for kernels without FORMAT_LOST
        self._size = pages * mmap.PAGESIZE
        for number, condition in tracepoints:
            fd, tells = perf_event_open(number, cpu)
            self._fds.append(fd)
            if tells:
                self._told.append(fd)
            if condition:
                self.restrict(len(self._fds) - 1, condition)
        self._map = mmap.mmap(self._fds[0], mmap.PAGESIZE + self._size)
        for fd in self._fds[1:]:
            fcntl.ioctl(fd, IOC_SET_OUTPUT, self._fds[0])

    def start(self) -> None:
        """From now on every hit is recorded."""
        for fd in self._fds:
            fcntl.ioctl(fd, IOC_ENABLE, 0)

    def restrict(self, index: int, condition: str) -> None:
        """Gives the tracepoint at `index` another kernel filter, such as "sig==9". OSError: the kernel refused it."""
        text = ctypes.create_string_buffer(condition.encode())
        if libc.ioctl(self._fds[index], ctypes.c_ulong(IOC_SET_FILTER), text) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"perf filter {condition!r}: {os.strerror(code)}")

    def fileno(self) -> int:
        """Readable while records wait."""
        return self._fds[0]

    def lost(self) -> int:
        """Hits that found the buffer full since the start."""
        told: int = sum(struct.unpack("<QQ", os.read(fd, 16))[1] for fd in self._told)
        return max(told, self._marked)

    def drain(self) -> Iterator[Sample]:
        """Takes every record that is there now."""
        head = struct.unpack_from("<Q", self._map, HEAD)[0]
        tail = struct.unpack_from("<Q", self._map, TAIL)[0]
        while tail < head:
            kind, _, size = struct.unpack("<IHH", self._bytes(tail, 8))
            body = self._bytes(tail + 8, size - 8)
            tail += size
            # Handing the space back record by record keeps the buffer open for what comes meanwhile.
            struct.pack_into("<Q", self._map, TAIL, tail)
            if kind == RECORD_SAMPLE:
                pid, tid, when, cpu, _, length = SAMPLE.unpack_from(body)
                yield Sample(when, pid, tid, cpu, body[SAMPLE.size : SAMPLE.size + length])
            elif kind == RECORD_LOST:
                self._marked += struct.unpack_from("<QQ", body)[1]
            elif kind == RECORD_THROTTLE:
                self._marked += 1  # at least one

    def _bytes(self, at: int, size: int) -> bytes:
        start = mmap.PAGESIZE + at % self._size
        end = mmap.PAGESIZE + self._size
        first = self._map[start : min(start + size, end)]
        rest = size - len(first)
        return first + self._map[mmap.PAGESIZE : mmap.PAGESIZE + rest] if rest else first

    def close(self) -> None:
        """Gives buffer and counters back."""
        self._map.close()
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self._told.clear()
