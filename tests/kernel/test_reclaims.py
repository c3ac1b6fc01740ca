"""Who reclaims on the whole system, told without /proc/vmstat: a counter of BPF's, kswapd's run time, the nodes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.core.config import DomainKind, MonitorConfig
from lmkd_py.core.snapshot import NO_OUTCOME, Snapshot
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.domain import Domain, open_domain
from lmkd_py.kernel.procfs.kswapd import Kswapd
from tests.support import require


def sample(domain: Domain) -> Snapshot:
    return domain.sample(1, 1, 1, NO_OUTCOME, 0, 1)


@pytest.mark.parametrize("has_nodes", [True, False], ids=["NUMA", "zoneinfo"])
def test_it_says_the_same_as_vmstat_of_what_both_know(has_nodes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_nodes:
        monkeypatch.setattr("lmkd_py.kernel.domain.system.node_paths", lambda root: ["/proc/zoneinfo"])
    domain = open_domain(MonitorConfig(DomainKind.SYSTEM))
    words = memoryview(bytearray(16)).cast("Q")
    before = sample(domain)
    assert domain.allocating() == ["/proc/vmstat (no BPF program counts direct reclaims)"]
    domain.use_reclaims(words, 1)
    require(domain.describe() != open_domain(MonitorConfig()).describe(), "kswapd cannot be seen here")
    assert domain.allocating() == []
    first = sample(domain)
    words[1] = 7
    second = sample(domain)
    domain.close()
    assert (first.pgscan_direct_pages, second.pgscan_direct_pages, second.pgrefill_pages) == (0, 7, ABSENT)
    assert 0 <= first.pgscan_kswapd_pages <= second.pgscan_kswapd_pages
    for name in ("nr_inactive_file_pages", "nr_active_file_pages", "workingset_refault_pages"):
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
    found = Kswapd(len(threads))
    ran_us = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in threads) // 1000
    assert 0 <= found.ran_us() - ran_us < 1_000_000  # it may run between the two looks
    for file in found.files:
        file.close()
    assert found.ran_us() == ABSENT


def test_where_kswapd_is_not_in_sight_vmstat_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir
    monkeypatch.setattr("os.listdir", lambda path: ["1"] if path == "/proc" else listdir(path))
    with pytest.raises(OSError, match="0 of 1 kswapd threads are in sight"):
        Kswapd(1)
    domain = open_domain(MonitorConfig(DomainKind.SYSTEM))
    domain.use_reclaims(memoryview(bytearray(8)).cast("Q"), 0)
    assert sample(domain).pgrefill_pages >= 0
    (file,) = domain.allocating()
    domain.close()
    assert file.startswith("/proc/vmstat (")
    assert "kswapd threads are in sight" in file
