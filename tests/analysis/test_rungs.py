from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.analysis.rungs import CONDITIONS, MATCHED, NOT_REACHED, SILENT, rungs, word
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.ladder import LADDER
from lmkd_py.core.signals import Signals
from lmkd_py.core.vocabulary import ABSENT, KillReason, Level, ReclaimState, WakeupKind, Watermark
from tests.core.values import make_signals

SMALL = st.integers(-1, 4)
SIGNALS = st.builds(
    Signals,
    kind=st.sampled_from([*map(int, WakeupKind), 99]),
    level=st.integers(-1, 3),
    free_swap_kb=SMALL,
    swap_low_threshold_kb=SMALL,
    swap_is_low=st.integers(0, 1),
    swap_util_pct=st.integers(-1, 101),
    reclaim=st.integers(0, 3),
    direct_reclaim_ms=SMALL,
    thrashing_pct=SMALL,
    thrashing_limit_pct=SMALL,
    file_lru_kb=SMALL,
    breached=st.integers(0, 4),
    cycle_after_kill=st.integers(0, 1),
    check_filecache=st.integers(0, 1),
    vendor_reason=SMALL,
    vendor_min_adj=SMALL,
)
CONFIGS = st.builds(
    PolicyConfig,
    swap_util_max_pct=st.integers(0, 100),
    thrashing_limit_pct=SMALL,
    filecache_min_kb=st.integers(0, 4),
    direct_reclaim_threshold_ms=st.integers(0, 4),
)


def test_every_rule_of_the_ladder_is_spelled_out() -> None:
    assert list(CONDITIONS) == [rule.__name__ for rule in LADDER]


@given(SIGNALS, CONFIGS)
def test_all_conditions_of_a_rule_hold_exactly_when_it_speaks(signals: Signals, config: PolicyConfig) -> None:
    for rule in LADDER:
        conditions = CONDITIONS[rule.__name__](signals, config)
        assert all(condition.holds for condition in conditions) == (rule(signals, config) is not None), rule.__name__


@given(SIGNALS, CONFIGS)
def test_one_rule_at_most_matches_and_nothing_behind_it_is_asked(signals: Signals, config: PolicyConfig) -> None:
    words = [rung.word for rung in rungs(signals, config)]
    speaks = [rule(signals, config) is not None for rule in LADDER]
    first = speaks.index(True) if True in speaks else len(LADDER)
    assert words == ([SILENT] * first + [MATCHED] + [NOT_REACHED] * len(LADDER))[: len(LADDER)]


def test_a_silent_rule_says_what_it_lacked() -> None:
    found = {rung.rule: rung for rung in rungs(make_signals(breached=Watermark.LOW, thrashing_pct=40), PolicyConfig())}
    swap = found["low_mem_and_swap"]
    assert swap.word == SILENT
    assert [(lack.wanted, lack.found) for lack in swap.lacking] == [
        ("free swap is under its threshold", "1000000 kB of 100000 kB")
    ]
    thrashing = found["low_mem_and_thrashing"]
    assert [(lack.wanted, lack.found) for lack in thrashing.lacking] == [("thrashing is over 100 %", "40 %")]
    low = found["low_mem"]
    assert (low.word, low.reason, low.min_adj, low.lacking) == (MATCHED, KillReason.LOW_MEM, 701, ())
    assert low.motive.startswith("Free memory is low")


def test_unknown_numbers_stay_numbers() -> None:
    assert word(Level, 2) == "critical"
    assert word(Level, 17) == "17"
    assert word(ReclaimState, ABSENT) == "-1"
