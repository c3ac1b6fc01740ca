"""The v1 domain: files that are cut, hold no numbers, are gone or closed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lmkd_py.core.config import with_settings
from lmkd_py.core.snapshot import NO_OUTCOME, Outcome, Snapshot
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from tests.kernel.cgroups import HOLD, Pen
from tests.kernel.trees import MONITORS, TREES, X86

OUTCOME = Outcome(42, 900, 7, 5, 0, 1)
USAGE = {"mem_free_kb", "mem_total_kb", "active_anon_kb"}  # without the usage nothing is known
# What stands in each file. A field of the one is not touched by damage to another.
FIELDS = {
    "memory.failcnt": {"direct_progress"},
    "memory.numa_stat": {
        "mem_free_kb", "active_anon_kb", "inactive_anon_kb", "active_file_kb", "inactive_file_kb", "unevictable_kb",
        "nr_inactive_file_pages", "nr_active_file_pages",
    },
    "vmstat": {"workingset_refault_pages"},
    "memory.limit_in_bytes": {
        "mem_total_kb", "mem_free_kb", "watermark_min_pages", "watermark_low_pages", "watermark_high_pages",
    },
    "io.pressure": {"psi_io_some_avg10_centi_pct", "psi_io_full_avg10_centi_pct"},
    "cpu.pressure": {"psi_cpu_some_avg10_centi_pct"},
    "memory.pressure": {
        "psi_mem_some_avg10_centi_pct", "psi_mem_full_avg10_centi_pct",
        "psi_mem_some_total_us", "psi_mem_full_total_us",
    },
}  # fmt: skip


def opened(shape: str, root: Path = TREES) -> Domain:
    return open_domain(MONITORS[shape], str(root / shape))


def sampled(domain: Domain) -> Snapshot:
    return domain.sample(77, 1, 2, OUTCOME, 1, 1)


def differing(one: Snapshot, other: Snapshot) -> set[str]:
    return {name for name, a, b in zip(Snapshot._fields, one, other, strict=True) if a != b}


def test_the_running_kernel_is_read_to_the_last_field() -> None:
    with Pen("onepass") as pen:
        pen.start(HOLD, "16")
        domain = open_domain(pen.monitor)
        without = open_domain(with_settings(pen.monitor, domain={"psi_path": ""}))
        sample = sampled(domain)
        assert sample.active_anon_kb > 0
        unknown = {name for name in Snapshot._fields if getattr(sample, name) == ABSENT}
        assert not unknown & USAGE.union(*FIELDS.values())
        psi = {name for name in Snapshot._fields if name.startswith("psi_")}
        assert {name for name in Snapshot._fields if getattr(sampled(without), name) == ABSENT} == unknown | psi
        domain.close()
        without.close()


def test_a_file_cut_anywhere_costs_its_own_fields_only(tmp_path: Path) -> None:
    shutil.copytree(TREES / X86, tmp_path / X86)
    domain = opened(X86, tmp_path)
    whole = sampled(domain)
    for file in domain.files():
        path = Path(file.path)
        text = path.read_bytes()
        if path.name not in FIELDS:
            continue
        for length in range(0, len(text), 1 if len(text) < 500 else 37):
            path.write_bytes(text[:length])
            sample = sampled(domain)
            assert differing(sample, whole) <= FIELDS[path.name], (path.name, length)
        path.write_bytes(text)
    assert sampled(domain) == whole  # nothing of it stays behind
    domain.close()


@pytest.mark.parametrize("text", [b"-1\n", b"9" * 25 + b"\n", b"max\n", b"many\n", b""])
def test_numbers_that_cannot_be_are_unknown(text: bytes, tmp_path: Path) -> None:
    shutil.copytree(TREES / X86, tmp_path / X86)
    domain = opened(X86, tmp_path)
    whole = sampled(domain)
    for name, field, wanted in (
        ("usage_in_bytes", "mem_free_kb", ABSENT),
        ("failcnt", "direct_progress", ABSENT),
        ("limit_in_bytes", "mem_total_kb", domain._host.ram_kb),  # type: ignore[attr-defined]
    ):
        path = tmp_path / X86 / f"sys/fs/cgroup/memory/apps/memory.{name}"
        good = path.read_bytes()
        path.write_bytes(text)
        assert getattr(sampled(domain), field) == wanted, name
        path.write_bytes(good)
    assert sampled(domain) == whole
    assert domain.gone == 0
    domain.close()


def test_a_closed_domain_reads_nothing_that_took_its_descriptors() -> None:
    domain = opened(X86)
    before = domain.sample(77, 1, 2, OUTCOME, 1, 1)
    domain.close()
    others = [open(TREES / X86 / "proc/meminfo", "rb") for _ in range(40)]  # noqa: SIM115
    after = domain.sample(77, 1, 2, OUTCOME, 1, 1)
    for each in others:
        each.close()
    assert (before.mem_free_kb >= 0, after.mem_free_kb) == (True, ABSENT)


def test_the_root_cgroup_has_no_limit_to_read() -> None:
    with Pen("rootless") as pen:
        domain = open_domain(pen.monitor)
        read = [Path(file.path).parent for file in domain.files() if file.path.endswith("memory.limit_in_bytes")]
        assert read[0] == pen.directory
        assert all(not (directory / "release_agent").exists() for directory in read)
        assert domain.sample(1, 1, 1, NO_OUTCOME, 0, 0).mem_total_kb == 65536
        domain.close()
