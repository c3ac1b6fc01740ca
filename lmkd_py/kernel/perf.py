"""Counts what the calling thread makes the kernel allocate, by perf counters on its tracepoints.

For tests, bench and selftest; nothing in the armed daemon imports it. Needs tracefs and perf_event_open.
"""

from __future__ import annotations

from typing import NamedTuple


class Allocations(NamedTuple):
    """Counts of the calling thread between start and stop."""

    kmalloc: int
    kmem_cache_alloc: int
    mm_page_alloc: int
    page_fault_user: int


class AllocationCounter:
    """Context manager: `with AllocationCounter() as counter: ...; counter.counts`. OSError where perf is not allowed."""

    counts: Allocations

    def __enter__(self) -> AllocationCounter:
        raise NotImplementedError

    def __exit__(self, *exc: object) -> None:
        raise NotImplementedError

    def read(self) -> Allocations:
        """Counts so far, without stopping."""
        raise NotImplementedError
