"""What the exerciser makes a killer see: policies and shortages that together reach every rule and every action."""

from __future__ import annotations

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import Level, PolicyKind, WakeupKind

# Nobody's death frees anything here: the second and third policy would spare everybody most of the time.
POLICIES = (
    PolicyConfig(kill_timeout_ms=20),
    PolicyConfig(
        kill_timeout_ms=20, kill_heaviest_task=1, filecache_min_kb=1 << 30, lowmem_min_adj=201, futile_kills_max=0
    ),
    PolicyConfig(
        kill_timeout_ms=20,
        swap_util_max_pct=1,
        direct_reclaim_threshold_ms=1,
        thrashing_limit_pct=1 << 30,
        futile_kills_max=0,
    ),
    PolicyConfig(kill_timeout_ms=20, kind=int(PolicyKind.AOSP_EXACT), stall_limit_critical_pct=1),
    PolicyConfig(
        kill_timeout_ms=20,
        kind=int(PolicyKind.STEADY),
        stall_some_pct=0,
        stall_refault_permille=0,
        stall_windows=1,
        futile_kills_max=0,
        relief_times=2,
    ),
)


def shapes() -> list[dict[str, int]]:
    """What each evaluation in turn is made to see; the counters that grow are added by bend()."""
    common = {
        "watermark_min_pages": 400,
        "watermark_low_pages": 800,
        "watermark_high_pages": 1200,
        "nr_inactive_file_pages": 500,
        "nr_active_file_pages": 500,
        "inactive_file_kb": 2000,
        "mem_free_kb": 1 << 20,
        "swap_total_kb": 10_000,
        "swap_free_kb": 9_000,
        "active_anon_kb": 1000,
        "inactive_anon_kb": 1000,
        "shmem_kb": 0,
        "victim_alive": 0,
        "kind": int(WakeupKind.POLL),
        "refault": 1,
    }
    # After a kill the thrashing window begins anew: thrashing shows in the second evaluation behind it.
    calm = {**common}
    thrash = {"refault": 10_000_000}
    low, lowest, no_swap = {"mem_free_kb": 2500}, {"mem_free_kb": 100}, {"swap_free_kb": 1}
    vendor = {"kind": int(WakeupKind.VENDOR), "vendor_reason": 3, "vendor_min_adj": 0}
    event = {"kind": int(WakeupKind.EVENT)}
    no_cma = {"cma_free_kb": 0}
    return [
        {"refault": 1},  # as it was sampled, kind and level too; an awaited victim is waited for
        calm,
        {**common, **low},
        {**common, **lowest},
        {**common, "victim_alive": 1},
        calm,
        {**common, **low, **no_swap, **thrash},
        calm,
        {**common, **low, **no_swap},
        calm,
        {**common, **low, **thrash},
        calm,
        {**common, **thrash, "direct": 1},
        calm,
        {**common, **low, "psi_mem_full_avg10_centi_pct": 9900},
        {**common, **vendor},
        {**common, **vendor, "vendor_reason": -1},
        {**common, "memevents": 1, "direct_reclaim_since_ms": 1},
        {**common, **event, "level": int(Level.CRITICAL)},
        {**common, **event, "level": int(Level.MEDIUM)},
        {**common, **event, "level": int(Level.LOW)},
        calm,
        {**common, "refault": 0, "memevents": 1},
        {**common, "mem_free_kb": -1},
        {**common, "kind": int(WakeupKind.ZONEINFO)},
        {**common, "workingset_refault_pages": -1, "memevents": 1, "kswapd_since_ms": 1},
        # Kills that free nothing, until somebody is spared.
        *({**common, **lowest} for _ in range(5)),
        calm,
        # Never 20 changes at a time: CPython 3.11 keeps a tuple of 20 for each call with 20 keywords, up to 2,000.
        {**common, **event, "level": int(Level.CRITICAL), "event_stall_us": 1, "event_threshold_us": 2, **no_cma},
        {**common, **low, "watermark_boost_pages": 9, "zram_stored_kb": 90_000, "zram_used_kb": 30_000, **no_cma},
        # To STEADY a window over stall begins and ends, in a cgroup that tells refaults of its own.
        {**common, **low, "refault_anon_pages": 1},
        {**common, **low, "refault_anon_pages": 1, "later_ms": 1000},
    ]


SHAPES = shapes()


def read_as_usual() -> dict[bytes, int]:
    """The negative control: open, read, split, convert."""
    with open("/proc/meminfo", "rb") as file:
        return {line.split()[0]: int(line.split()[1]) for line in file.read().splitlines()}
