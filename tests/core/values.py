"""Values for the tests of core: a calm machine, and ways to make it less calm."""

from __future__ import annotations

from typing import Any

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.signals import Signals
from lmkd_py.core.snapshot import NO_OUTCOME, Candidate, Snapshot
from lmkd_py.core.vocabulary import ABSENT, Level, PolicyKind, ReclaimState, WakeupKind, Watermark

Values = dict[str, Any]

DEFAULTS = PolicyConfig()
AOSP = PolicyConfig(kind=PolicyKind.AOSP_EXACT)
STEADY = PolicyConfig(kind=PolicyKind.STEADY)


def make_signals(**changes: Any) -> Signals:
    """Signals of a machine where no rule matches."""
    calm = Signals(
        kind=WakeupKind.POLL,
        level=Level.MEDIUM,
        free_swap_kb=1_000_000,
        swap_low_threshold_kb=100_000,
        swap_is_low=False,
        swap_util_pct=10,
        reclaim=ReclaimState.KSWAPD,
        direct_reclaim_ms=0,
        thrashing_pct=0,
        thrashing_limit_pct=100,
        file_lru_kb=400_000,
        breached=Watermark.NONE,
        cycle_after_kill=False,
        check_filecache=False,
        vendor_reason=ABSENT,
        vendor_min_adj=ABSENT,
    )
    return calm._replace(**changes)


def make_snapshot(**changes: Any) -> Snapshot:
    """A calm machine of 4 GB at a poll: memory free, swap free, kswapd has moved a little."""
    calm = dict.fromkeys(Snapshot._fields, 0)
    calm.update(
        now_ms=1_000_000,
        kind=WakeupKind.POLL,
        level=Level.MEDIUM,
        page_kb=4,
        mem_total_kb=4_000_000,
        mem_free_kb=400_000,
        active_anon_kb=900_000,
        inactive_anon_kb=300_000,
        active_file_kb=100_000,
        inactive_file_kb=200_000,
        swap_total_kb=2_000_000,
        swap_free_kb=1_500_000,
        nr_inactive_file_pages=50_000,
        nr_active_file_pages=25_000,
        kswapd_progress=100,
        watermark_min_pages=5_000,
        watermark_low_pages=10_000,
        watermark_high_pages=15_000,
        vendor_reason=ABSENT,
        vendor_min_adj=ABSENT,
        metered_level=ABSENT,
        event_stall_us=ABSENT,
        event_threshold_us=ABSENT,
        watermark_boost_pages=ABSENT,
        zram_stored_kb=ABSENT,
        zram_used_kb=ABSENT,
        zram_swap_kb=0,
        zram_limit_kb=ABSENT,
        refault_anon_pages=ABSENT,
    )
    calm.update(changes)
    return Snapshot(
        **{**calm, "outcome": changes.get("outcome", NO_OUTCOME), "candidates": changes.get("candidates", ())}
    )


def make_candidate(pid: int, adj: int, rss_pages: int = 1000, age: int = 0) -> Candidate:
    """One process; the other fields do not matter to the policy."""
    return Candidate(pid, 10_000, adj, rss_pages, 1, age)
