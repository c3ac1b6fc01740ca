"""The promise of the kill path: a sample makes the kernel allocate nothing. Counted by the kernel itself."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

import pytest

from lmkd_py.core.config import DomainKind
from lmkd_py.kernel.acting.poll import PollSet
from lmkd_py.kernel.sensing import perf
from lmkd_py.kernel.sensing.perf import AllocationCounter, tracepoint_id
from tests.daemon.lacking import with_private_mounts
from tests.kernel.cgroups import HOLD, Pen
from tests.support import IS_ROOT, REPO_ROOT, require

ROUNDS = 1000


@pytest.fixture(autouse=True)
def _perf() -> None:
    try:
        with AllocationCounter():
            pass
    except OSError as failure:
        require(False, f"needs perf_event_open and tracefs: {failure}")


NODES = "/sys/devices/system/node"


def count(kind: int, what: str, path: str = "", twin: str = "", rounds: int = ROUNDS, hidden: str = "") -> list[int]:
    """kmalloc, kmem_cache_alloc, mm_page_alloc, page faults of both kinds, mmap, munmap, brk; all rounds together."""
    words = [sys.executable, "-m", "tests.kernel.count_allocations", str(kind), path, twin, str(rounds), what]
    hide = with_private_mounts([hidden], []) if hidden else None
    done = subprocess.run(words, cwd=REPO_ROOT, check=True, capture_output=True, text=True, preexec_fn=hide)
    files, *counts = [int(word) for word in done.stdout.split()]
    if what in ("sample", "counted", "listless"):
        # The domain has said so: each of these files is a kmalloc a sample, and there are no others.
        assert -(-counts[0] // rounds) == files
    return counts


def test_a_thousand_samples_of_a_v1_cgroup_allocate_nothing() -> None:
    with Pen("alloc") as pen:
        pen.start(HOLD, "8")
        counts = count(DomainKind.MEMCG_V1, "sample", str(pen.directory), str(pen.twin))
    assert counts == [0, 0, 0, 0, 0, 0, 0, 0]


def test_a_sample_of_the_whole_system_costs_one_kmalloc_and_nothing_else() -> None:
    kmalloc, *others = count(DomainKind.SYSTEM, "sample")
    assert others == [0, 0, 0, 0, 0, 0, 0]
    assert kmalloc <= ROUNDS


def test_a_sample_of_the_whole_system_allocates_nothing_where_bpf_counts_direct_reclaims() -> None:
    assert count(DomainKind.SYSTEM, "counted") == [0, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("what", "hidden", "files"), [("sample", NODES, 0), ("listless", "", 1), ("listless", NODES, 1)]
)
def test_a_kernel_without_numa_costs_a_v1_cgroup_a_kmalloc_for_each_file_it_names(
    what: str, hidden: str, files: int
) -> None:
    with Pen("nonuma") as pen:
        counts = count(DomainKind.MEMCG_V1, what, str(pen.directory), str(pen.twin), hidden=hidden)
    assert (files - 1) * ROUNDS < counts[0] <= files * ROUNDS  # zoneinfo stands in for the nodes' files, for nothing
    assert counts[1:] == [0, 0, 0, 0, 0, 0, 0]


def test_a_system_without_numa_allocates_nothing_either_where_bpf_counts_direct_reclaims() -> None:
    require(IS_ROOT, "hiding files takes root")
    assert count(DomainKind.SYSTEM, "counted", hidden=NODES) == [0, 0, 0, 0, 0, 0, 0, 0]


def test_the_counter_catches_a_file_that_allocates_and_an_open() -> None:
    with Pen("control") as pen:
        assert count(DomainKind.MEMCG_V1, "stat", str(pen.directory), str(pen.twin))[0] >= ROUNDS
    opened = count(DomainKind.SYSTEM, "open")
    assert opened[0] + opened[1] >= 2 * ROUNDS


def test_waiting_on_as_many_descriptors_as_the_kernel_keeps_inline_allocates_nothing() -> None:
    assert count(DomainKind.SYSTEM, f"poll{PollSet.INLINE_FDS}", rounds=50) == [0, 0, 0, 0, 0, 0, 0, 0]


def test_waiting_on_one_more_takes_a_page_each_time() -> None:
    assert count(DomainKind.SYSTEM, f"poll{PollSet.INLINE_FDS + 1}", rounds=50)[2] == 50


def test_the_counter_counts_only_while_it_is_entered_and_closes_its_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with AllocationCounter() as counter:
        os.close(os.open("/proc/self/statm", os.O_RDONLY))
        inside = counter.read()
    os.close(os.open("/proc/self/statm", os.O_RDONLY))
    assert counter.total().kmem_cache_alloc >= inside[1] >= 1
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("is_x86", [True, False])
def test_a_page_that_is_missing_is_counted_whoever_touches_it(is_x86: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the program itself, or by the kernel that reads a file into it; also by kernels without those tracepoints."""
    number_of = perf.tracepoint_id

    def tracepoint_or_none(event: str) -> int:
        if event.startswith("exceptions:") and not is_x86:
            raise FileNotFoundError(event)
        return number_of(event)

    monkeypatch.setattr(perf, "tracepoint_id", tracepoint_or_none)
    pages, page = 64, mmap.PAGESIZE
    with open("/dev/zero", "rb") as file, mmap.mmap(-1, 2 * pages * page) as memory, memoryview(memory) as view:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        with AllocationCounter() as counter:
            for number in range(pages):
                view[number * page] = 1
            touched = counter.read()[3:]
            os.readv(file.fileno(), [view[pages * page :]])
            read = counter.read()[3:]
    assert pages <= touched[0] < pages + 20
    assert touched[1] < 20
    assert read[0] - touched[0] < 20
    assert pages <= read[1] - touched[1] < pages + 20


def test_an_unknown_tracepoint_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_event"):
        tracepoint_id("kmem:no_such_event")
