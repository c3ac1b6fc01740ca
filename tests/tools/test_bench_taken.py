"""What the bench says of a kill's cost is counted on real kills: ours, and those of Debian's killers in their boxes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import require
from tools.bench import pool, report, taken
from tools.bench.packages import unpack
from tools.bench.programs import MissingToolError

pytestmark = [pytest.mark.pressure, pytest.mark.slow, pytest.mark.all_suite]

PEERS = ("earlyoom", "nohang", "oomd")
MANY, FEW = 0.3, 0.1  # of all actions


@pytest.fixture(autouse=True)
def compiler() -> None:
    """The bench builds its C programs."""
    require(shutil.which("gcc"), "gcc is not here: apt-get install gcc libc6-dev (make test does it as root)")


def test_every_killer_kills_in_the_thrashing_group_and_only_ours_takes_nothing(tmp_path: Path) -> None:
    try:
        others = [unpack(name) for name in PEERS]
    except MissingToolError as missing:
        require(False, str(missing))
        raise
    ours, *theirs = taken.measure(others, str(tmp_path), kills=2)
    assert [each.label.split()[0] for each in theirs] == list(PEERS)
    assert all(len(each.struck) >= 2 and each.lost == 0 for each in (ours, *theirs))
    assert {sum(counts) for counts in ours.counts} == {0}
    assert ours.major_faults == 0
    for each in theirs:  # the control: the same counters see what the others take
        assert all(kmalloc > 0 and slab > 0 for kmalloc, slab, *_ in each.counts), each
    for line in report.taken([ours, *theirs]).splitlines()[2:6]:
        assert line.count("|") == 10


def test_with_the_private_pool_hardly_an_action_enters_reclaim() -> None:
    without, with_pool = pool.measure(100)
    assert (without.reserve_kb, with_pool.reserve_kb) == (0, 8192)
    assert without.entered / without.actions > MANY
    assert with_pool.entered / with_pool.actions < FEW
