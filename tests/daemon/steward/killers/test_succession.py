"""From one killer to the next: what is true at every moment of it, and after whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOMEM
from pathlib import Path
from typing import NoReturn

import pytest

from lmkd_py.core.config import Config
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike
from lmkd_py.daemon.steward.reload import replace_guard
from tests.daemon.steward.killers.bench import OTHER, Bench

pytestmark = pytest.mark.root("forks killers")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path / "root", monkeypatch)
    yield made
    made.close()


def test_the_former_strike_is_disarmed_as_soon_as_the_new_one_is_armed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes by the former domain, limits and list; the first that is done after arming is to heed the new kicks."""
    (former,) = bench.strikes
    armed: list[tuple[bool, bool]] = []
    heed_kicks = bench.steward.events.heed_kicks

    def heed(strike: KernelStrike) -> None:
        armed.append((former.is_armed, bench.strikes[-1].is_armed))
        heed_kicks(strike)

    monkeypatch.setattr(bench.steward.events, "heed_kicks", heed)
    assert former.is_armed
    assert not replace_guard(bench.steward, Config(monitor=OTHER))
    assert armed == [(False, True)]


def test_a_handover_that_is_broken_off_leaves_the_former_strike_armed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(ENOMEM, "no memory")

    killer = bench.steward.killer
    with monkeypatch.context() as patch:
        patch.setattr(KernelStrike, "keep", fail)
        assert replace_guard(bench.steward, Config(monitor=OTHER)) == "[Errno 12] no memory"
    former, latter = bench.strikes
    assert (former.is_armed, latter.is_armed) == (True, False)
    assert bench.steward.kernel_strike is former
    assert bench.steward.killer is killer
    assert not killer.wait_end(0)
    bench.settle()
