"""Every captured tree, read by the fast parsers and by slow obvious ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lmkd_py.core.config import DomainConfig, DomainKind, MonitorConfig, with_settings
from lmkd_py.core.snapshot import NO_OUTCOME, Snapshot
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from lmkd_py.kernel.sensing.domain.base import PAGE_KB
from lmkd_py.kernel.sensing.procfs.meminfo import MEMINFO
from lmkd_py.kernel.sensing.procfs.zoneinfo import Zoneinfo
from lmkd_py.wire.sentences import sentence
from tests.kernel.trees import ARM_V1, ARM_V2, MONITORS, PHONE, SHAPES, TREES, X86, flat, meminfo, text, watermarks

MEMINFO_FIELDS = Snapshot._fields[
    Snapshot._fields.index("mem_total_kb") : Snapshot._fields.index("nr_inactive_file_pages")
]


def sample(domain: Domain, want_watermarks: int = 1) -> Snapshot:
    return domain.sample(77, 1, 2, NO_OUTCOME, 1, want_watermarks)


def system(shape: str) -> Snapshot:
    domain = open_domain(MonitorConfig(), str(TREES / shape))
    try:
        return sample(domain)
    finally:
        domain.close()


def memcg(shape: str) -> Snapshot:
    domain = open_domain(MONITORS[shape], str(TREES / shape))
    try:
        return sample(domain)
    finally:
        domain.close()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_system_has_the_numbers_of_its_files(shape: str) -> None:
    snapshot = system(shape)
    expected = meminfo(shape)
    assert [row.field for row in MEMINFO] == list(MEMINFO_FIELDS)
    for row in MEMINFO:
        assert getattr(snapshot, row.field) == expected.get(row.key.strip(b"\n:").decode(), ABSENT), row.field
    vmstat = flat(shape, "proc/vmstat")
    assert snapshot.nr_inactive_file_pages == vmstat["nr_inactive_file"]
    assert snapshot.nr_active_file_pages == vmstat["nr_active_file"]
    assert snapshot.kswapd_progress == vmstat["pgscan_kswapd"]
    assert snapshot.direct_progress == vmstat["pgscan_direct"]
    assert snapshot.refill_progress == vmstat["pgrefill"]
    assert snapshot.refault_anon_pages == vmstat.get("workingset_refault_anon", ABSENT)
    refault = vmstat.get("workingset_refault") or vmstat.get("workingset_refault_file")
    assert snapshot.workingset_refault_pages == refault
    marks = (snapshot.watermark_min_pages, snapshot.watermark_low_pages, snapshot.watermark_high_pages)
    assert marks == watermarks(shape)
    assert (snapshot.now_ms, snapshot.kind, snapshot.level, snapshot.victim_alive) == (77, 1, 2, 1)
    assert snapshot.candidates == ()


def test_zones_are_read_past_the_per_node_block_of_the_first_populated_zone() -> None:
    zoneinfo = Zoneinfo(str(TREES / ARM_V2 / "proc/zoneinfo"))
    zones = zoneinfo.zones()
    populated = [(zone.node, zone.name) for zone in zones if zone.present]
    assert populated == [(0, "DMA"), (1, "Normal")]
    assert len(zones) == 10
    zoneinfo.file.close()


def test_a_zone_knows_its_free_cma_pages_and_its_reserves() -> None:
    zoneinfo = Zoneinfo(str(TREES / ARM_V1 / "proc/zoneinfo"))
    cma = [zone.cma_free for zone in zoneinfo.zones() if zone.present]
    assert sum(cma) * 4 == meminfo(ARM_V1)["CmaFree"]
    zoneinfo.file.close()
    zoneinfo = Zoneinfo(str(TREES / X86 / "proc/zoneinfo"))
    dma = zoneinfo.zones()[0]
    assert dma.name == "DMA"
    assert len(dma.protection) == 5
    assert dma.protection[0] == 0 < max(dma.protection)
    zoneinfo.file.close()


def test_a_kernel_without_cma_has_no_cma_and_not_none_of_it() -> None:
    assert system(X86).cma_free_kb == ABSENT
    assert system(PHONE).cma_free_kb == 9472


def test_watermarks_are_left_alone_unless_wanted() -> None:
    domain = open_domain(MonitorConfig(), str(TREES / X86))
    snapshot = sample(domain, want_watermarks=0)
    assert (snapshot.watermark_min_pages, snapshot.watermark_high_pages) == (ABSENT, ABSENT)
    domain.close()


def test_pressure_averages_are_hundredths_of_a_percent_and_totals_microseconds() -> None:
    snapshot = system(PHONE)
    assert snapshot.psi_mem_some_avg10_centi_pct == 1270
    assert snapshot.psi_mem_full_avg10_centi_pct == 315
    assert snapshot.psi_io_some_avg10_centi_pct == 2011
    assert snapshot.psi_io_full_avg10_centi_pct == 948
    assert snapshot.psi_cpu_some_avg10_centi_pct == 4102
    assert snapshot.psi_mem_some_total_us == 1299384921
    assert snapshot.psi_mem_full_total_us == 400211873


def test_a_v1_cgroup_is_free_by_what_its_limit_leaves_and_by_its_file_cache() -> None:
    snapshot = memcg(X86)
    base = "sys/fs/cgroup/memory/apps/memory."
    usage, limit = int(text(X86, base + "usage_in_bytes")), int(text(X86, base + "limit_in_bytes"))
    file_pages = 11790  # hierarchical_file of the captured numa_stat
    assert snapshot.mem_total_kb == limit // 1024 == 65536
    assert snapshot.mem_free_kb == (limit - usage) // 1024 + file_pages * PAGE_KB
    assert (snapshot.nr_inactive_file_pages, snapshot.nr_active_file_pages) == (0, file_pages)
    assert snapshot.inactive_file_kb == 0
    assert snapshot.direct_progress == int(text(X86, base + "failcnt"))
    assert (snapshot.kswapd_progress, snapshot.refill_progress) == (0, 0)
    assert (
        snapshot.workingset_refault_pages
        == flat(X86, "sys/devices/system/node/node0/vmstat")["workingset_refault_file"]
    )
    assert (snapshot.swap_total_kb, snapshot.swap_free_kb) == (0, 0)
    assert snapshot.psi_mem_some_total_us == 1873  # of the twin, not of the machine
    pages = limit // 1024 // PAGE_KB
    marks = (snapshot.watermark_min_pages, snapshot.watermark_low_pages, snapshot.watermark_high_pages)
    assert marks == (pages * 2 // 100, pages * 4 // 100, pages * 6 // 100)


def test_a_v1_cgroup_swaps_as_far_as_memsw_and_the_host_allow() -> None:
    snapshot = memcg(ARM_V1)
    base = "dev/memcg/apps/memory."
    limit, memsw = (int(text(ARM_V1, base + name)) for name in ("limit_in_bytes", "memsw.limit_in_bytes"))
    used = int(text(ARM_V1, base + "memsw.usage_in_bytes")) - int(text(ARM_V1, base + "usage_in_bytes"))
    assert snapshot.swap_total_kb == (memsw - limit) // 1024 == 49152
    assert abs(snapshot.swap_free_kb - (49152 - used // 1024)) <= 1
    assert memcg(PHONE).swap_total_kb == meminfo(PHONE)["SwapTotal"]  # memsw has no limit there: the host's does


def test_a_v1_cgroup_without_numa_files_is_read_from_memory_stat_and_vmstat() -> None:
    snapshot = memcg(PHONE)
    stat = flat(PHONE, "dev/memcg/apps/memory.stat")
    assert snapshot.nr_active_file_pages == (stat["total_inactive_file"] + stat["total_active_file"]) // 4096
    assert snapshot.workingset_refault_pages == flat(PHONE, "proc/vmstat")["workingset_refault"]
    assert snapshot.refault_anon_pages == ABSENT  # Linux 4.14 has one counter
    assert snapshot.psi_mem_some_total_us == ABSENT  # no twin is configured


def test_a_v2_cgroup_is_bounded_by_its_own_limit_and_its_high_mark() -> None:
    snapshot = memcg(ARM_V2)
    base = "dev/cg2/apps.slice/apps/memory."
    usage, limit, high = (int(text(ARM_V2, base + name)) for name in ("current", "max", "high"))
    assert snapshot.mem_total_kb == limit // 1024 == 49152
    file_bytes = 204800  # active_file on node 1; the shmem that numa_stat calls file is not reclaimable cache
    assert snapshot.nr_active_file_pages * 4096 == file_bytes
    assert snapshot.mem_free_kb == limit // 1024 - usage // 1024 + file_bytes // 1024
    assert snapshot.watermark_high_pages == (limit - high) // 4096
    events = flat(ARM_V2, base + "events")
    assert snapshot.direct_progress == events["high"] + events["max"] > 0
    swap = int(text(ARM_V2, base + "swap.max"))
    assert snapshot.swap_total_kb == swap // 1024
    assert snapshot.swap_free_kb == swap // 1024 - int(text(ARM_V2, base + "swap.current")) // 1024
    assert snapshot.shmem_kb > 0
    assert (snapshot.workingset_refault_pages, snapshot.refault_anon_pages) == (10084 + 7727, 1331 + 20788)


def test_a_cgroup_that_tells_no_refaults_of_its_own_has_the_hosts_of_files_only(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(TREES / ARM_V2, tree)
    lists = tree / "dev/cg2/apps.slice/apps/memory.numa_stat"
    lists.write_text("".join(line for line in lists.read_text().splitlines(True) if "refault" not in line))
    for root, monitor in ((tree, MONITORS[ARM_V2]), (TREES / X86, MONITORS[X86])):
        domain = open_domain(monitor, str(root))
        snapshot = sample(domain)
        nodes = (root / "sys/devices/system/node").glob("node*/vmstat")
        lines = [line.split() for node in nodes for line in node.read_text().splitlines()]
        of_files = sum(int(value) for name, value in lines if name == "workingset_refault_file")
        assert (snapshot.workingset_refault_pages, snapshot.refault_anon_pages) == (of_files, ABSENT)
        assert domain.describe().endswith("refaults host-wide (node vmstat): STEADY kills nobody for stall")
        domain.close()


def test_the_tightest_limit_up_the_tree_counts(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(TREES / ARM_V2, tree)
    (tree / "dev/cg2/apps.slice/memory.max").write_text("33554432\n")
    (tree / "dev/cg2/apps.slice/apps/memory.max").write_text("max\n")
    domain = open_domain(MONITORS[ARM_V2], str(tree))
    assert sample(domain).mem_total_kb == 32768
    (tree / "dev/cg2/apps.slice/memory.max").write_text("max\n")
    assert sample(domain).mem_total_kb == meminfo(ARM_V2)["MemTotal"]
    domain.close()


def test_a_v2_cgroup_without_numa_is_read_from_memory_stat(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(TREES / ARM_V2, tree)
    cgroup = tree / "dev/cg2/apps.slice/apps"
    (cgroup / "memory.numa_stat").unlink()
    (cgroup / "memory.stat").write_text(
        "anon 4096\nfile 0\nshmem 8192\ninactive_anon 0\nactive_anon 4096\n"
        "inactive_file 16384\nactive_file 40960\nunevictable 0\nworkingset_refault_anon 5\nworkingset_refault_file 7\n"
    )
    domain = open_domain(MONITORS[ARM_V2], str(tree))
    snapshot = sample(domain)
    assert (snapshot.workingset_refault_pages, snapshot.refault_anon_pages) == (7, 5)
    assert domain.describe().endswith("refaults of its own")
    assert (snapshot.nr_inactive_file_pages, snapshot.nr_active_file_pages) == (4, 10)
    assert snapshot.shmem_kb == 8
    domain.close()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_missing_directory_is_named(shape: str, tmp_path: Path) -> None:
    monitor = with_settings(MONITORS[shape], domain={"path": "/dev/no/such/cgroup"})
    with pytest.raises(FileNotFoundError, match="/dev/no/such/cgroup"):
        open_domain(monitor, str(TREES / shape))
    assert open_domain(MONITORS[shape], str(TREES / shape)).describe()


def test_an_unreadable_file_is_named_with_line_and_item(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(TREES / X86, tree)
    zoneinfo = tree / "proc/zoneinfo"
    lines = zoneinfo.read_text().splitlines(keepends=True)
    number = next(i for i, line in enumerate(lines) if line.strip().startswith("min"))
    lines[number] = "        min      many\n"
    zoneinfo.write_text("".join(lines))
    domain = open_domain(MonitorConfig(), str(tree))
    (lack,) = domain.lacks()
    assert re.search(rf"zoneinfo: line {number + 1}: .*'min' pages; left out$", sentence(lack))
    domain.close()


def test_an_unknown_kind_of_domain_is_refused() -> None:
    with pytest.raises(ValueError, match=r"domain\.kind 9"):
        open_domain(MonitorConfig(domain=DomainConfig(kind=9)))


def test_a_failed_opening_leaves_no_descriptor(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(TREES / ARM_V2, tree)
    (tree / "dev/cg2/apps.slice/apps/memory.numa_stat").unlink()  # and there is no memory.stat
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError, match=r"memory\.stat"):
        open_domain(MONITORS[ARM_V2], str(tree))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_kernel_without_pressure_files_is_a_domain_without_psi(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(TREES / X86, tree)
    shutil.rmtree(tree / "proc/pressure")
    domain = open_domain(MonitorConfig(), str(tree))
    snapshot = sample(domain)
    assert snapshot.psi_mem_some_avg10_centi_pct == snapshot.psi_mem_full_total_us == ABSENT
    assert domain.psi_memory_path == ""
    assert "no PSI" in domain.describe()
    domain.close()


def test_kernel_oom_kills_are_counted_where_each_domain_counts_them() -> None:
    for monitor, expected in ((MonitorConfig(), 0), (MONITORS[PHONE], 2)):
        domain = open_domain(monitor, str(TREES / PHONE))
        assert domain.oom_kills() == expected
        domain.close()
    assert MONITORS[ARM_V2].domain.kind == DomainKind.CGROUP_V2
    domain = open_domain(MONITORS[ARM_V2], str(TREES / ARM_V2))
    assert domain.oom_kills() == 0
    assert sorted(domain.members()) == [1, 221]
    domain.close()


def allocating(monitor: MonitorConfig, root: Path) -> list[str]:
    domain = open_domain(monitor, str(root))
    domain.close()
    return [file.removeprefix(str(root)) for file in domain.allocating()]


@pytest.mark.parametrize("shape", [X86, ARM_V1, ARM_V2])
def test_a_cgroup_of_a_kernel_with_numa_allocates_nothing(shape: str) -> None:
    assert allocating(MONITORS[shape], TREES / shape) == []


def test_a_cgroup_of_a_kernel_without_numa_names_the_files_whose_reads_allocate(tmp_path: Path) -> None:
    vmstat = "/proc/vmstat (no NUMA node reports refaults)"
    assert allocating(MONITORS[PHONE], TREES / PHONE) == ["/dev/memcg/apps/memory.stat (no memory.numa_stat)"]
    shutil.copytree(TREES / ARM_V2, tmp_path / "tree")
    directory = tmp_path / "tree/dev/cg2/apps.slice/apps"
    (directory / "memory.numa_stat").unlink()
    (directory / "memory.stat").write_text("inactive_file 4096\nactive_file 4096\n")
    stat = "/dev/cg2/apps.slice/apps/memory.stat (no memory.numa_stat)"
    assert allocating(MONITORS[ARM_V2], tmp_path / "tree") == [stat]
    shutil.rmtree(tmp_path / "tree/sys")
    assert allocating(MONITORS[ARM_V2], tmp_path / "tree") == [vmstat, stat]
