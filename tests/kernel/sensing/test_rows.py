"""The rows of PSI files and of a cgroup's page lists."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.sensing.procfs import cgroup_v2, memcg_v1, psi
from tests.kernel.tables import numbers, pinned


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_pressure_without_a_full_line_has_no_full_stall(path: Path) -> None:
    path.write_text("some avg10=99.99 avg60=0.00 avg300=0.00 total=18446744073709551615\n")
    with pytest.raises(ValueError, match="line 1: total= has no number"):
        pinned(path, psi.MEMORY)
    path.write_text("some avg10=100.00 avg60=0.00 avg300=0.00 total=77\n")
    assert list(numbers(pinned(path, psi.MEMORY)).values()) == [10000, 77, ABSENT, ABSENT]
    path.write_text("some avg10=0.05 avg60=0.00 avg300=0.00 total=78\nfull avg10=1.20 avg60=0.00 avg300=0.00 total=9\n")
    assert list(numbers(pinned(path, psi.MEMORY)).values()) == [5, 78, 120, 9]


def test_a_line_of_pressure_that_vanishes_lends_its_total_from_no_other(path: Path) -> None:
    some, full = (
        f"{name} avg10=0.05 avg60=0.00 avg300=0.00 total={total}\n" for name, total in (("some", 8), ("full", 9))
    )
    path.write_text(some + full)
    table = pinned(path, psi.MEMORY)
    path.write_text(some)
    assert table.read() == [5, 8, ABSENT, ABSENT]
    path.write_text(full)
    assert table.read() == [ABSENT, ABSENT, 5, 9]


def test_a_cgroup_without_hierarchy_is_refused_by_name(path: Path) -> None:
    path.write_text("total=1 N0=1\nfile=1 N0=1\nanon=0 N0=0\nunevictable=0 N0=0\n")
    with pytest.raises(ValueError, match="no line 'hierarchical_file='"):
        pinned(path, memcg_v1.NUMA_STAT)


def test_the_lists_of_all_nodes_of_a_v2_cgroup_are_summed(path: Path) -> None:
    path.write_text("anon N0=1 N1=2\nfile N0=1 N1=2\ninactive_file N0=4096 N1=8192\nactive_file N0=0 N1=4096\n")
    table = pinned(path, cgroup_v2.NUMA_STAT)
    found = numbers(table)
    pages = 4096 // os.sysconf("SC_PAGE_SIZE") or 1
    assert (found["nr_inactive_file_pages"], found["nr_active_file_pages"]) == (3 * pages, pages)
    assert found["shmem_kb"] == ABSENT
    path.write_text("inactive_file N0=4096 N1=x\nactive_file\n")
    assert set(table.read()) == {ABSENT}
