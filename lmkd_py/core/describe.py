"""AOSP's words for a verdict, exactly as its log has them. For people and the oracle check, not the kill path."""

from __future__ import annotations

from .config import PolicyConfig
from .decision import Judgement
from .snapshot import Snapshot
from .vocabulary import Action, KillReason, Watermark


def describe(judgement: Judgement, snapshot: Snapshot, config: PolicyConfig) -> str:
    """The text after `reason: ` in AOSP's kill line; empty where no verdict stands."""
    j = judgement
    if j.action != Action.KILL:
        return ""
    if j.reason >= KillReason.VENDOR_BASE:
        return f"vendor kill with the reason {j.reason}, min_score_adj {snapshot.vendor_min_adj}"
    mark = "min" if j.breached == Watermark.MIN else "low"
    swap = f"({j.free_swap_kb}kB < {j.swap_low_threshold_kb}kB)"
    texts = {
        KillReason.PRESSURE_AFTER_KILL: "min watermark is breached even after kill",
        KillReason.NOT_RESPONDING: "device is not responding",
        KillReason.LOW_SWAP_AND_THRASHING: f"device is low on swap {swap} and thrashing ({j.thrashing_pct}%)",
        KillReason.LOW_MEM_AND_SWAP: f"{mark} watermark is breached and swap is low {swap}",
        KillReason.LOW_MEM_AND_SWAP_UTIL: f"{mark} watermark is breached and swap utilization is high"
        f" ({j.swap_util_pct}% > {config.swap_util_max_pct}%)",
        KillReason.LOW_MEM_AND_THRASHING: f"{mark} watermark is breached and thrashing ({j.thrashing_pct}%)",
        KillReason.DIRECT_RECL_AND_THRASHING: f"device is in direct reclaim and thrashing ({j.thrashing_pct}%)",
        KillReason.DIRECT_RECL_STUCK: "device is stuck in direct reclaim"
        f" ({j.direct_reclaim_ms}ms > {config.direct_reclaim_threshold_ms}ms)",
        KillReason.LOW_FILECACHE_AFTER_THRASHING: f"filecache is low ({j.file_lru_kb}kB < {config.filecache_min_kb}kB)"
        " after thrashing",
        KillReason.LOW_MEM: f"{mark} watermark is breached",
    }
    return texts[KillReason(j.reason)]
