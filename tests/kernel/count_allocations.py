"""Run as a program: hardens itself as the killer does, samples a domain many times, prints what that allocated.

`python -m tests.kernel.count_allocations KIND PATH TWIN ROUNDS WHAT` prints how many files the domain says allocate,
and its counts; WHAT is `sample` (`counted`: where BPF counts direct reclaims, `listless`: without memory.numa_stat), or
a control that must be caught: `stat` reads memory.stat too, `open` opens a file each time.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable

from lmkd_py.core.config import DomainConfig, MonitorConfig
from lmkd_py.core.snapshot import NO_OUTCOME
from lmkd_py.kernel.acting import memory
from lmkd_py.kernel.acting.poll import POLLIN, PollSet
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.sensing.domain import memcg, open_domain
from lmkd_py.kernel.sensing.perf import ALLOCATION_EVENTS, EventCounter
from lmkd_py.kernel.sensing.pinned import PinnedFile

GROWTH = ("syscalls:sys_enter_mmap", "syscalls:sys_enter_munmap", "syscalls:sys_enter_brk")


def work(what: str, kind: int, path: str, twin: str) -> Callable[[], object]:
    monitor = MonitorConfig(domain=DomainConfig(kind, path, twin))
    if what == "listless":  # as on a kernel without NUMA
        memcg.NUMA_STAT_FILE = "no.such.file"
    domain = open_domain(monitor)
    if what == "counted":  # as the killer samples where BPF counts direct reclaims
        domain.use_reclaims(memoryview(bytearray(8)).cast("Q"), 0)
    print(len(domain.allocating()))
    if what == "open":
        return lambda: os.close(os.open("/proc/self/statm", os.O_RDONLY))
    if what == "stat":
        stat = PinnedFile(os.path.join(path, "memory.stat"))
        return lambda: stat.read()
    if what.startswith("poll"):
        polls = PollSet(int(what[4:]))
        for slot in range(polls.size):
            polls.set(slot, eventfd(), POLLIN)
        return lambda: polls.wait(1)
    return lambda: domain.sample(1, 1, 1, NO_OUTCOME, 0, 1)


def main() -> None:
    kind, path, twin, rounds, what = sys.argv[1:6]
    memory.mallopt(memory.M_TRIM_THRESHOLD, -1)
    memory.mallopt(memory.M_MMAP_MAX, 0)
    memory.pregrow_heap(1 << 20)
    call = work(what, int(kind), path, twin)
    for _ in range(500):
        call()
    gc.collect()
    gc.freeze()
    gc.disable()
    memory.mlockall(memory.MCL_CURRENT | memory.MCL_FUTURE)
    with EventCounter(ALLOCATION_EVENTS + GROWTH) as counter:
        for _ in range(int(rounds)):
            call()
    print(*counter.counts)


if __name__ == "__main__":
    main()
