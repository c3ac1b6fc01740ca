"""Counts what the calling thread makes the kernel do, by perf counters on its own tracepoints.

For tests, bench and the selftest; nothing in the armed daemon imports it. Counting allocates nothing, reading neither.
Needs tracefs (mounted by us when it is not, as root) and leave to use perf_event_open.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import NamedTuple, TypeVar

from ..acting.syscalls import mount, perf_event_open

_TRACEFS_PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_PERF_TYPE_SOFTWARE, _PERF_TYPE_TRACEPOINT = 1, 2
_PERF_COUNT_SW_PAGE_FAULTS = 2
_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5 (Linux 4.1)

# An interrupt that hits the thread allocates on its own account and never waits: common_flags says hard or soft irq.
_NOT_IN_INTERRUPT = b"!(common_flags & 24)\0"
_PERF_EVENT_IOC_SET_FILTER = 0x40000006 | struct.calcsize("P") << 16 | ord("$") << 8

# A read into a buffer of ours whose page is missing faults in the kernel: that is the second one.
PAGE_FAULT, PAGE_FAULT_KERNEL = "exceptions:page_fault_user", "exceptions:page_fault_kernel"
PAGE_FAULTS = (PAGE_FAULT, PAGE_FAULT_KERNEL)
# Only x86 has those tracepoints. Elsewhere the software event is asked for the faults of one mode:
# exclude_kernel and exclude_user, bits 5 and 4 of struct perf_event_attr's flags.
_FLAGS_AT = 40
_ONE_MODE = {PAGE_FAULT: 1 << 5, PAGE_FAULT_KERNEL: 1 << 4}
Counter = TypeVar("Counter", bound="EventCounter")

# A BPF program on a tracepoint may hide its events from perf (by returning 0), and on the first two are such programs.
# Whoever reclaims comes to the third.
RECLAIM_EVENTS = (
    "vmscan:mm_vmscan_direct_reclaim_begin",
    "vmscan:mm_vmscan_memcg_reclaim_begin",
    "vmscan:mm_vmscan_lru_shrink_inactive",
)
ALLOCATION_EVENTS = ("kmem:kmalloc", "kmem:kmem_cache_alloc", "kmem:mm_page_alloc", *PAGE_FAULTS)


def tracefs() -> str:
    """Directory of tracefs; mounts it where it is not (root) and leaves it mounted. OSError if it cannot be had."""
    for place in _TRACEFS_PLACES:
        if os.path.isdir(os.path.join(place, "events")):
            return place
    mount("tracefs", _TRACEFS_PLACES[0], "tracefs")
    return _TRACEFS_PLACES[0]


def tracepoint_id(event: str) -> int:
    """Number of "group:name" on this kernel; OSError naming the file if it has no such tracepoint."""
    group, _, name = event.partition(":")
    with open(os.path.join(tracefs(), "events", group, name, "id"), encoding="ascii") as file:
        return int(file.read())


def _open_counter(event: str, tid: int) -> int:
    # struct perf_event_attr up to sample_type..flags; all counters start at once, for one thread on any CPU.
    flags = 0
    try:
        kind, config = _PERF_TYPE_TRACEPOINT, tracepoint_id(event)
    except FileNotFoundError:
        if event not in _ONE_MODE:
            raise
        kind, config, flags = _PERF_TYPE_SOFTWARE, _PERF_COUNT_SW_PAGE_FAULTS, _ONE_MODE[event]
    attr = struct.pack("=IIQ", kind, _ATTR_SIZE, config).ljust(_FLAGS_AT, b"\0")
    attr = (attr + struct.pack("=Q", flags)).ljust(_ATTR_SIZE, b"\0")
    fd = perf_event_open(attr, tid, -1)
    if kind == _PERF_TYPE_TRACEPOINT:
        fcntl.ioctl(fd, _PERF_EVENT_IOC_SET_FILTER, _NOT_IN_INTERRUPT)
    return fd


class EventCounter:
    """Counts named tracepoints between entering and leaving, on the calling thread or on thread `tid` of anybody.

    What interrupts do while they borrow the thread is left out.

    `counts` holds the result in the order of `events`; read() gives the counts so far. OSError where perf or a
    tracepoint is missing.
    """

    def __init__(self, events: tuple[str, ...], tid: int = 0) -> None:
        self.events = events
        self._tid = tid
        self.counts: tuple[int, ...] = (0,) * len(events)
        self._fds: list[int] = []
        self._base: tuple[int, ...] = self.counts
        self._buffer = bytearray(8)

    def _read_all(self) -> tuple[int, ...]:
        values = []
        for fd in self._fds:
            os.readv(fd, (self._buffer,))
            values.append(int.from_bytes(self._buffer, "little"))
        return tuple(values)

    def read(self) -> tuple[int, ...]:
        """Counts since the context was entered, in the order of the events."""
        return tuple(now - then for now, then in zip(self._read_all(), self._base))

    def __enter__(self: Counter) -> Counter:
        try:
            for event in self.events:
                self._fds.append(_open_counter(event, self._tid))
        except OSError:
            self._close()
            raise
        for _ in range(3):  # the counter's own code is warm before it counts
            self.read()
        self._base = self._read_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.counts = self.read()
        self._close()

    def _close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


class Allocations(NamedTuple):
    """What the calling thread allocated from the kernel."""

    kmalloc: int
    kmem_cache_alloc: int
    mm_page_alloc: int
    page_fault_user: int
    page_fault_kernel: int


class AllocationCounter(EventCounter):
    """The five ways a thread can end up waiting for memory: `with AllocationCounter() as c: ...; c.total()`."""

    def __init__(self) -> None:
        super().__init__(ALLOCATION_EVENTS)

    def total(self) -> Allocations:
        """The result by name; valid after leaving the context."""
        return Allocations(*self.counts)
