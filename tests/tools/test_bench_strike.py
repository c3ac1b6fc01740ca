"""The bench's part about the strike in the kernel: every variant is measured, the kick too, and the target is told."""

from __future__ import annotations

import pytest

from lmkd_py.kernel.bpf import VARIANT_CURRENT
from tools.bench import kick, report, strike
from tools.bench.strike import Strikes


def test_each_kick_pairs_with_the_first_wakeup_before_the_next_kick() -> None:
    # The second kick was answered by an evaluation under way; of the third's two wakeups one is for a kick not seen.
    assert kick.answers_us([1000, 5000, 9000], [3000, 10_000, 17_000]) == [2.0, 1.0]
    assert kick.answers_us([9000], [3000]) == []


@pytest.mark.parametrize(("slowest", "said"), [(100.0, "`signal_generate`. "), (100.1, "; missed by `walk`. ")])
def test_the_table_tells_the_target_and_who_missed_it(slowest: float, said: str) -> None:
    text = report.strikes([Strikes("list", [30.0], 0, 0), Strikes("walk", [slowest], 0, 0)], [60.0])
    assert "Goal: p99 at most 100 µs" in text
    assert said in text
    assert "| kick to the killer's wake-up | 1 | 60.0 / 60.0 / 60.0 / 60.0 |" in text


@pytest.mark.pressure
@pytest.mark.all_suite
def test_the_reclaiming_process_is_struck_and_the_daemon_kicked_as_often_as_asked_for() -> None:
    found = strike.measure(VARIANT_CURRENT, 5)
    assert (found.variant, found.lost) == ("current", 0)
    assert len(found.us) >= 5
    assert min(found.us) > 0
    told = kick.measure(8)
    assert len(told) >= 4  # some come while it evaluates and are answered by that
    assert min(told) > 0
