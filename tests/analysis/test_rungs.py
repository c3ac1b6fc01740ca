from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.analysis.rungs import MATCHED, NOT_REACHED, SILENT, rungs, stall_words
from lmkd_py.core.conditions import word
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decision import SPARED
from lmkd_py.core.ladder import LADDER
from lmkd_py.core.signals import Signals
from lmkd_py.core.vocabulary import ABSENT, KillReason, Level, ReclaimState, WakeupKind, Watermark
from tests.core.values import make_signals, make_snapshot

SMALL = st.integers(-1, 4)
SIGNALS = st.builds(
    Signals,
    kind=st.sampled_from([*map(int, WakeupKind), 99]),
    level=st.integers(-1, 3),
    free_swap_kb=SMALL,
    swap_low_threshold_kb=SMALL,
    swap_is_low=st.booleans(),
    swap_util_pct=st.integers(-1, 101),
    reclaim=st.integers(0, 3),
    direct_reclaim_ms=SMALL,
    thrashing_pct=SMALL,
    thrashing_limit_pct=SMALL,
    file_lru_kb=SMALL,
    breached=st.integers(0, 4),
    cycle_after_kill=st.booleans(),
    check_filecache=st.booleans(),
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


@given(SIGNALS, CONFIGS)
def test_one_rule_at_most_matches_and_nothing_behind_it_is_asked(signals: Signals, config: PolicyConfig) -> None:
    words = [rung.word for rung in rungs(signals, config)]
    speaks = [rung.rule(signals, config) != SPARED for rung in LADDER]
    first = speaks.index(True) if True in speaks else len(LADDER)
    assert words == ([SILENT] * first + [MATCHED] + [NOT_REACHED] * len(LADDER))[: len(LADDER)]


def test_a_silent_rule_says_what_it_lacked() -> None:
    found = {rung.rule: rung for rung in rungs(make_signals(breached=Watermark.LOW, thrashing_pct=40), PolicyConfig())}
    swap = found["low_mem_and_swap"]
    assert swap.word == SILENT
    assert [(lack.wanted, lack.found) for lack in swap.lacking] == [
        ("less than 100000 kB of usable free swap", "1000000 kB were usable")
    ]
    thrashing = found["low_mem_and_thrashing"]
    assert [(lack.wanted, lack.found) for lack in thrashing.lacking] == [("thrashing above 100 %", "it was 40 %")]
    low = found["low_mem"]
    assert (low.word, low.reason, low.min_adj, low.lacking) == (MATCHED, KillReason.LOW_MEM, 701, ())
    assert low.motive.startswith("Free memory is low")


def test_unknown_numbers_stay_numbers() -> None:
    assert word(Level, 2) == "critical"
    assert word(Level, 17) == "17"
    assert word(ReclaimState, ABSENT) == "-1"


def test_what_the_totals_say_of_an_event_stands_beside_its_rule() -> None:
    tiny = {"kind": WakeupKind.EVENT, "level": Level.CRITICAL, "event_stall_us": 200, "event_threshold_us": 700_000}
    words = stall_words(make_snapshot(**tiny))
    assert words == "by the PSI totals all tasks stalled for 0.2 ms of the 700 ms a trigger needs"
    assert stall_words(make_snapshot(kind=WakeupKind.POLL)) == ""
    metered = {**tiny, "kind": WakeupKind.POLL, "level": Level.MEDIUM, "metered_level": Level.CRITICAL}
    assert stall_words(make_snapshot(**metered)) == words
    found = rungs(make_signals(kind=WakeupKind.POLL, level=Level.CRITICAL), PolicyConfig(), words)
    (asked,) = [rung for rung in found if rung.rule == "not_responding"]
    assert (asked.word, asked.lacking[0].found) == (SILENT, f"this wakeup was a poll; {words}")
