"""A board on paper whose wakeups follow each other, for the tests of STEADY."""

from __future__ import annotations

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import judge
from lmkd_py.core.decision import Judgement
from lmkd_py.core.snapshot import NO_OUTCOME, Outcome, Snapshot
from lmkd_py.core.state import INITIAL, PolicyState
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason

from .values import STEADY, Values, make_snapshot

MIB = 1024
# 256 MiB with 192 MiB of swap: a reserve of 6.7 MiB. 2 MiB are free above the low watermark of 4 MiB.
BOARD: Values = {
    "mem_total_kb": 256 * MIB,
    "mem_free_kb": 6 * MIB,
    "active_file_kb": 2 * MIB,
    "inactive_file_kb": 2 * MIB,
    "active_anon_kb": 100 * MIB,
    "inactive_anon_kb": 50 * MIB,
    "swap_total_kb": 192 * MIB,
    "swap_free_kb": 0,
    "watermark_min_pages": 512,
    "watermark_low_pages": 1024,
    "watermark_high_pages": 1536,
}
CGROUP: Values = {**BOARD, "cached_kb": ABSENT, "buffers_kb": ABSENT, "active_file_kb": 4 * MIB, "inactive_file_kb": 0}
T0 = 1_000_000
ROOMY: Values = {"swap_free_kb": 100 * MIB}  # of 4 + 100 MiB
SHORT: Values = {"mem_free_kb": 4 * MIB}  # room of 2 MiB, reserve of 6.7
KILL = (Action.KILL, KillReason.EXHAUSTED)
NOBODY = (Action.NONE, KillReason.NONE)


class Board:
    """A board whose wakeups follow each other; `struck` is the outcome that the next one sees."""

    def __init__(self, config: PolicyConfig = STEADY, **values: int) -> None:
        self.config = config
        self.state: PolicyState = INITIAL
        self.values: Values = {**BOARD, "psi_mem_some_total_us": 10**9, "workingset_refault_pages": 10**6, **values}
        self.values["refault_anon_pages"] = 10**6
        self.now_ms = T0
        self.outcome = NO_OUTCOME
        self.snapshot: Snapshot = make_snapshot()

    def wake(self, after_ms: int = 100, **changes: int) -> Judgement:
        self.now_ms += after_ms
        values = {"now_ms": self.now_ms, "outcome": self.outcome, **self.values, **changes}
        self.snapshot = make_snapshot(**values)
        judgement = judge(self.snapshot, self.state, self.config)
        self.state, self.outcome = judgement.state, NO_OUTCOME
        return judgement

    def strike(self, rss_pages: int = 2560, **sizes: int) -> None:
        self.outcome = Outcome(77, 900, rss_pages, self.now_ms, 0, 1, **sizes)

    def stall(self, pct: int, pages: int, after_ms: int = 1000, **changes: int) -> Judgement:
        """A wakeup after a time in which tasks stalled for pct of it and so many pages came back."""
        self.values["psi_mem_some_total_us"] += pct * after_ms * 10
        self.values["refault_anon_pages"] += pages
        return self.wake(after_ms, **changes)


def said(judgement: Judgement) -> tuple[int, int]:
    """What it comes to, and why."""
    return judgement.action, judgement.reason
