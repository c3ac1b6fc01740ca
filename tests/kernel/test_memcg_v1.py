"""The v1 domain's one-pass sample against its careful readers: the same Snapshot, from the same files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lmkd_py.core.snapshot import NO_OUTCOME, Outcome, Snapshot
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.domain import open_domain
from lmkd_py.kernel.domain.memcg_v1 import MemcgV1Domain
from tests.kernel.cgroups import HOLD, Pen
from tests.kernel.trees import ARM_V1, MONITORS, PHONE, TREES, X86

OUTCOME = Outcome(42, 900, 7, 5, 0, 1)


class Unaided(MemcgV1Domain):
    """Counts how often the careful readers had to help."""

    helped = 0

    def _carefully(self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int) -> Snapshot:
        self.helped += 1
        return super()._carefully(now_ms, kind, level, outcome, victim_alive)


def opened(shape: str, root: Path = TREES) -> Unaided:
    domain = Unaided(MONITORS[shape], str(root / shape))
    domain.pin()
    return domain


def both(domain: Unaided) -> tuple[Snapshot, Snapshot, int]:
    """One sample, what the careful readers see, and whether the sample came from them."""
    domain.helped = 0
    sample = domain.sample(77, 1, 2, OUTCOME, 1, 1)
    helped = domain.helped
    return sample, domain._carefully(77, 1, 2, OUTCOME, 1), helped


@pytest.mark.parametrize(("shape", "helped"), [(X86, 0), (ARM_V1, 0), (PHONE, 1)])
def test_one_pass_sees_what_the_careful_readers_see(shape: str, helped: int) -> None:
    domain = opened(shape)  # the phone's kernel has neither numa_stat nor node vmstat
    assert both(domain) == (domain._carefully(77, 1, 2, OUTCOME, 1), domain.sample(77, 1, 2, OUTCOME, 1, 0), helped)
    domain.close()


@pytest.mark.parametrize("twin", [True, False])
def test_one_pass_sees_the_same_on_the_running_kernel(twin: bool) -> None:
    with Pen("onepass") as pen:
        domain = Unaided(pen.monitor if twin else pen.monitor._replace(domain_psi_path=""), "/")
        domain.pin()
        pen.start(HOLD, "16")
        sample, careful, helped = both(domain)
        assert helped == 0
        assert sample.active_anon_kb > 0
        # Whoever else runs may read back a page of a file or stall between the two.
        moving = {"workingset_refault_pages"} | {name for name in Snapshot._fields if name.startswith("psi_")}
        for name, value, expected in zip(Snapshot._fields, sample, careful, strict=True):
            assert value == expected or name in moving, name
            assert (value == -1) == (expected == -1), name
        domain.close()


def test_a_file_cut_anywhere_is_read_as_the_careful_readers_read_it(tmp_path: Path) -> None:
    shutil.copytree(TREES / X86, tmp_path / X86)
    domain = opened(X86, tmp_path)
    for file in domain._files:
        path = Path(file.path)
        whole = path.read_bytes()
        for length in range(0, len(whole), 1 if len(whole) < 500 else 37):
            path.write_bytes(whole[:length])
            sample, careful, _ = both(domain)
            assert sample == careful, (path.name, length)
        path.write_bytes(whole)
    sample, careful, helped = both(domain)
    assert (sample, helped) == (careful, 0)  # nothing of it stays behind
    domain.close()


@pytest.mark.parametrize("text", [b"-1\n", b"9" * 25 + b"\n", b"max\n", b"many\n", b"", b"12"])
def test_numbers_that_cannot_be_are_left_to_the_careful_readers(text: bytes, tmp_path: Path) -> None:
    shutil.copytree(TREES / X86, tmp_path / X86)
    domain = opened(X86, tmp_path)
    for name in ("usage_in_bytes", "failcnt", "limit_in_bytes"):
        path = tmp_path / X86 / f"sys/fs/cgroup/memory/apps/memory.{name}"
        whole = path.read_bytes()
        path.write_bytes(text)
        sample, careful, _ = both(domain)
        assert sample == careful, name
        path.write_bytes(whole)
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
        assert isinstance(domain, MemcgV1Domain)
        read = [Path(limit.file.path).parent for limit in domain._limits]
        assert read[0] == pen.directory
        assert all(not (directory / "release_agent").exists() for directory in read)
        assert domain.sample(1, 1, 1, NO_OUTCOME, 0, 0).mem_total_kb == 65536
        domain.close()
