"""Who reclaims on the whole system, told without /proc/vmstat: a counter of BPF's, kswapd's run time, the nodes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.core.config import DomainConfig, DomainKind, MonitorConfig
from lmkd_py.core.snapshot import NO_OUTCOME, Snapshot
from lmkd_py.core.vocabulary import ABSENT, ProgressSource
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from lmkd_py.kernel.sensing.procfs.kswapd import RAN_NS, RUN_TIME, schedstat_paths
from lmkd_py.kernel.sensing.procfs.table import Table
from tests.support import require


def sample(domain: Domain) -> Snapshot:
    return domain.sample(1, 1, 1, NO_OUTCOME, 0, 1)


@pytest.mark.parametrize("has_nodes", [True, False], ids=["NUMA", "zoneinfo"])
def test_it_says_the_same_as_vmstat_of_what_both_know(has_nodes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_nodes:
        monkeypatch.setattr("lmkd_py.kernel.sensing.domain.system.node_paths", lambda root: ["/proc/zoneinfo"])
    domain = open_domain(MonitorConfig(domain=DomainConfig(DomainKind.SYSTEM)))
    words = memoryview(bytearray(16)).cast("Q")
    before = sample(domain)
    assert domain.progress_source == ProgressSource.VMSTAT
    assert domain.allocating() == ["/proc/vmstat (no BPF program counts direct reclaims)"]
    domain.use_reclaims(words, 1)
    require(domain.describe() != open_domain(MonitorConfig()).describe(), "kswapd cannot be seen here")
    assert domain.allocating() == []
    assert domain.progress_source == ProgressSource.BPF
    first = sample(domain)
    words[1] = 7
    second = sample(domain)
    domain.close()
    assert (first.direct_progress, second.direct_progress, second.refill_progress) == (0, 7, ABSENT)
    assert 0 <= first.kswapd_progress <= second.kswapd_progress
    for name in ("nr_inactive_file_pages", "nr_active_file_pages", "workingset_refault_pages", "refault_anon_pages"):
        was, now = getattr(before, name), getattr(first, name)
        assert abs(now - was) <= max(was, now) // 4 + 20_000, name  # others use the machine meanwhile
    assert first.mem_total_kb == before.mem_total_kb
    assert first.watermark_low_pages == before.watermark_low_pages


def test_the_run_time_is_that_of_the_kernel_threads_named_kswapd() -> None:
    threads = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/comm")
        if path.read_text().startswith("kswapd") and not (path.parent / "cmdline").read_bytes()
    ]
    require(threads, "no kswapd in sight: a pid namespace of its own?")
    table = Table((ABSENT,), (RAN_NS,))
    table.pin_all(schedstat_paths(len(threads)), RUN_TIME)
    ran_ns = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in threads)
    assert 0 <= table.read()[0] - ran_ns < 10**9  # it may run between the two looks
    table.close()


def test_where_kswapd_is_not_in_sight_vmstat_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir
    monkeypatch.setattr("os.listdir", lambda path: ["1"] if path == "/proc" else listdir(path))
    with pytest.raises(OSError, match="0 of 1 kswapd threads are visible"):
        schedstat_paths(1)
    domain = open_domain(MonitorConfig(domain=DomainConfig(DomainKind.SYSTEM)))
    domain.use_reclaims(memoryview(bytearray(8)).cast("Q"), 0)
    assert sample(domain).refill_progress >= 0
    (file,) = domain.allocating()
    assert domain.progress_source == ProgressSource.VMSTAT
    domain.close()
    assert file.startswith("/proc/vmstat (")
    assert "kswapd threads are visible" in file
