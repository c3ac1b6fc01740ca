"""What zram makes of swap, and the boost of the watermarks: captured files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lmkd_py.core.config import MonitorConfig
from lmkd_py.core.snapshot import NO_OUTCOME, Snapshot
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from lmkd_py.kernel.sensing.procfs.zram import open_zram
from tests.kernel.trees import TREES

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
MM_STAT = "  {}  1111  {}        {}  9999  12  0  0  0\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A captured machine with SwapTotal 2097148 kB."""
    root = tmp_path / "root"
    shutil.copytree(TREES / "arm64-zram-cma-v1", root)
    return root


def swaps(root: Path, *areas: tuple[str, str, int]) -> None:
    lines = (f"{name:40}{kind}\t{size}\t0\t-2\n" for name, kind, size in areas)
    (root / "proc/swaps").write_text(HEAD + "".join(lines))


def zram(root: Path, name: str, stored: int, used: int, limit: int = 0) -> None:
    path = root / f"sys/block/{name}/mm_stat"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MM_STAT.format(stored, used, limit))


def swap_total_kb(root: Path) -> int:
    (line,) = [line for line in (root / "proc/meminfo").read_text().splitlines() if line.startswith("SwapTotal:")]
    return int(line.split()[1])


def read(root: Path, total_kb: int) -> tuple[int, int, int, int]:
    found = open_zram(str(root))
    assert found is not None
    told = found.read(total_kb)
    for file in found.files:
        file.close()
    return told


def sample(domain: Domain) -> Snapshot:
    return domain.sample(1, 2, 1, NO_OUTCOME, 0, 1)


def test_zram_tells_what_it_stores_and_what_that_takes(tree: Path) -> None:
    total = swap_total_kb(tree)
    swaps(tree, ("/dev/block/zram0", "partition", total - 1000), ("/dev/zram12", "partition", 1000))
    zram(tree, "zram0", 300 << 20, 100 << 20)
    zram(tree, "zram12", 4096, 300)
    domain = open_domain(MonitorConfig(), str(tree))
    snapshot = sample(domain)
    assert (snapshot.zram_stored_kb, snapshot.zram_used_kb) == ((300 << 10) + 4, 100 << 10)
    zram(tree, "zram0", 600 << 20, 150 << 20)
    assert sample(domain).zram_used_kb == 150 << 10
    assert domain.describe().endswith(", swap measured by zram")
    domain.close()


def test_a_swap_area_that_came_or_went_makes_it_unknown(tree: Path) -> None:
    swaps(tree, ("/dev/zram0", "partition", 1000))
    zram(tree, "zram0", 4096, 300)
    assert read(tree, 1000) == (4, 0, 1000, ABSENT)
    assert read(tree, 3000) == (ABSENT, ABSENT, ABSENT, ABSENT)


@pytest.mark.parametrize(
    "areas",
    [
        (),
        (("/swapfile", "file", 1000),),
        (("/zram0", "file", 1000),),
        (("/dev/zramdisk", "partition", 1000),),
    ],
)
def test_where_no_swap_is_zram_that_is_known(tree: Path, areas: tuple[tuple[str, str, int], ...]) -> None:
    zram(tree, "zram0", 4096, 300)
    swaps(tree, *areas)
    assert read(tree, 1000 if areas else 0) == (ABSENT, ABSENT, 0, ABSENT)


def test_of_mixed_swap_the_part_that_is_zram_is_told(tree: Path) -> None:
    zram(tree, "zram0", 40 << 20, 10 << 20)
    swaps(tree, ("/dev/zram0", "partition", 100_000), ("/dev/sda2", "partition", 900_000))
    assert read(tree, 1_000_000) == (40 << 10, 10 << 10, 100_000, ABSENT)


def test_the_memory_that_zram_may_take_is_told_where_all_of_it_is_limited(tree: Path) -> None:
    swaps(tree, ("/dev/zram0", "partition", 1000), ("/dev/zram1", "partition", 1000))
    zram(tree, "zram0", 4096, 300, limit=5 << 20)
    zram(tree, "zram1", 4096, 300)
    assert read(tree, 2000)[3] == ABSENT
    zram(tree, "zram1", 4096, 300, limit=1 << 20)
    assert read(tree, 2000)[3] == 6 << 10


def test_a_zram_that_cannot_be_read_is_not_measured_but_known_to_be_one(tree: Path) -> None:
    untold = (ABSENT, ABSENT, 1000, ABSENT)
    swaps(tree, ("/dev/zram0", "partition", 1000))
    assert read(tree, 1000) == untold  # no mm_stat
    zram(tree, "zram0", 4096, 300)
    found = open_zram(str(tree))
    assert found is not None
    (tree / "sys/block/zram0/mm_stat").write_text("broken\n")
    assert found.read(1000) == untold
    (tree / "proc/swaps").unlink()
    assert open_zram(str(tree)) is None


def test_the_boost_of_populated_zones_is_summed_and_left_in_the_raw_watermarks(tree: Path) -> None:
    domain = open_domain(MonitorConfig(), str(tree))
    plain = sample(domain)
    domain.close()
    path = tree / "proc/zoneinfo"
    text = path.read_text()
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("        boost")]
    without = "".join(lines)
    boosted = without.replace("\n        min ", "\n        boost    512\n        min ")
    for content, boost in ((without, ABSENT), (boosted, 512 * boosted.count("        present  ")), (boosted, None)):
        path.write_text(content)
        domain = open_domain(MonitorConfig(), str(tree))
        snapshot = sample(domain)
        unread = domain.sample(1, 2, 1, NO_OUTCOME, 0, 0)
        domain.close()
        if boost == ABSENT or boost is None:
            assert (snapshot.watermark_boost_pages == ABSENT) == (boost == ABSENT)
        else:
            assert 0 < snapshot.watermark_boost_pages <= boost
            assert snapshot.watermark_boost_pages % 512 == 0
        assert snapshot.watermark_min_pages == plain.watermark_min_pages
        assert unread.watermark_boost_pages == ABSENT
