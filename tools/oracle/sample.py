"""A few scenarios of our own, for where the recorded corpus is not at hand.

    python -m tools.oracle.sample > tests/data/oracle/sample.jsonl

The inputs are made up here; the decisions are our own replay, made when that replay agreed with the whole corpus.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from .record import record

_START_MS = 500_000
_CFG = {
    "low_ram": False,
    "per_app_memcg": False,
    "thrashing_limit": 100,
    "thrashing_limit_decay": 10,
    "thrashing_limit_critical": 300,
    "swap_free_low_percentage": 10,
    "swap_util_max": 100,
    "filecache_min_kb": 0,
    "stall_limit_critical": 100,
    "pressure_after_kill_min_score": 0,
    "direct_reclaim_threshold_ms": 0,
    "swap_compression_ratio": 1,
    "lowmem_min_oom_score": 701,
    "kill_heaviest_task": False,
    "kill_timeout_ms": 100,
    "psi_partial_stall_ms": 70,
    "psi_complete_stall_ms": 700,
}
_MEMINFO = {
    "MemTotal": 4_000_000,
    "MemFree": 400_000,
    "Buffers": 20_000,
    "Cached": 300_000,
    "SwapCached": 5_000,
    "Shmem": 9_000,
    "Unevictable": 3_000,
    "SwapTotal": 2_000_000,
    "SwapFree": 1_500_000,
    "SReclaimable": 30_000,
    "SUnreclaim": 32_000,
    "KernelStack": 6_000,
    "PageTables": 37_000,
    "CmaFree": 0,
    "Active(anon)": 900_000,
    "Inactive(anon)": 300_000,
    "Active(file)": 100_000,
    "Inactive(file)": 200_000,
}
_VMSTAT = {
    "nr_inactive_file": 50_000,
    "nr_active_file": 25_000,
    "workingset_refault_file": 0,
    "pgrefill": 0,
    "pgscan_kswapd": 0,
    "pgscan_direct": 0,
}
# Sums: min 5000, low 10000, high 15000 pages.
_ZONES = [
    {"node": 0, "name": "DMA", "free": 0, "min": 9, "low": 9, "high": 9, "present": 0, "cma": 0, "prot": [0, 900]},
    {"node": 0, "name": "DMA32", "free": 0, "min": 1000, "low": 3000, "high": 5000, "present": 9, "prot": [0, 0, 1000]},
    {"node": 0, "name": "Normal", "free": 0, "min": 3000, "low": 6000, "high": 9000, "present": 9, "prot": [0, 0, 0]},
]
# id, adj, rss_kb, swap_kb, death_ms, state
_PROCS = [
    [1, 0, 300_000, 0, 20, "A"],
    [2, 100, 200_000, 0, 20, "A"],
    [3, 200, 90_000, 0, 20, "A"],
    [4, 200, 100_000, 0, 20, "A"],
    [5, 700, 80_000, 100, 20, "A"],
    [6, 900, 50_000, 0, 20, "A"],
    [7, 900, 60_000, 0, 150, "A"],
    [8, 950, 40_000, 0, 5, "A"],
]


def _case(name: str, steps: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A scenario; a step's `at` counts from the start, `changes` may hold cfg, mi, procs, memevents, lasts."""
    for step in steps:
        step["t"] = _START_MS + step.pop("at")
    return record(
        {
            "id": name,
            "tags": ["sample"],
            "start_ms": _START_MS,
            "end_ms": steps[-1]["t"] + changes.get("lasts", 1500),
            "page_kb": 4,
            "memevents": changes.get("memevents", "none"),
            "cfg": {**_CFG, **changes.get("cfg", {})},
            "init": {
                "mi": {**_MEMINFO, **changes.get("mi", {})},
                "vs": _VMSTAT,
                "zones": _ZONES,
                "psi": [5.0, 1.0, 1.0, 0.5, 2.0],
            },
            "procs": changes.get("procs", _PROCS),
            "steps": steps,
        }
    )


def _quiet(**more: Any) -> dict[str, Any]:
    """The first evaluation, with all well: it sets the baselines."""
    return {"at": 1000, "vs": {"pgscan_kswapd": 100}, "psi_ev": ["some"], **more}


def samples() -> list[dict[str, Any]]:
    """Every reason, most outcomes, and what mending the defects changes."""
    low_swap = {"SwapFree": 100_000}
    low = {"MemFree": 39_000}
    scan = {"pgscan_kswapd": 200}
    busy = {"pgscan_kswapd": 200, "workingset_refault_file": 90_000}
    direct = {"pgscan_direct": 50, "workingset_refault_file": 90_000}
    return [
        _case("low-mem", [_quiet(), {"at": 2500, "mi": low, "vs": scan, "psi_ev": ["some"]}]),
        _case("not-responding", [_quiet(), {"at": 2500, "vs": scan, "psi_ev": ["full", "some"]}]),
        _case(
            "low-swap",
            [
                _quiet(),
                {"at": 2500, "mi": {**low, **low_swap}, "vs": scan, "psi_ev": ["some"]},
                {"at": 2503, "mi": {"MemFree": 10_000}, "vs": {"pgscan_kswapd": 300}},
                {
                    "at": 2900,
                    "mi": {"MemFree": 900_000},
                    "vs": {"workingset_refault_file": 500_000},
                    "psi_ev": ["some"],
                },
            ],
        ),
        _case(
            "thrashing",
            [
                _quiet(),
                {"at": 2200, "mi": low, "vs": busy, "psi_ev": ["some"]},
                {"at": 3000, "mi": {"MemFree": 400_000}, "vs": direct, "psi_ev": ["some"]},
                {"at": 3900, "vs": {"pgscan_direct": 90, "workingset_refault_file": 400_000}, "psi_ev": ["some"]},
                {"at": 4500, "vs": {"nr_inactive_file": 100, "pgrefill": 7}, "psi_ev": ["some"]},
            ],
            cfg={"filecache_min_kb": 200_000},
        ),
        _case(
            "swap-utilisation",
            [_quiet(), {"at": 2500, "mi": {**low, "SwapFree": 700_000}, "vs": scan, "psi_ev": ["some"]}],
            cfg={"swap_util_max": 40},
        ),
        _case(
            "reclaim-events",
            [
                _quiet(mem=[[3]]),
                {"at": 1500, "zones": _ZONES[1:2], "mem": [[6]]},
                {"at": 2000, "mem": [[1]], "psi_ev": ["some"]},
                {"at": 2410, "mem": [[2], [5, 7, 900]], "psi_ev": ["some"], "order": "psi_first"},
                {"at": 2900, "mem": [[5, 7, 900]]},
                {"at": 3500, "mem": [[5, 1200, 0]]},
            ],
            cfg={"direct_reclaim_threshold_ms": 300},
            memevents="on",
        ),
        _case(
            "stuck-by-uptime",
            [_quiet(), {"at": 2500, "vs": {"pgscan_direct": 9}, "psi_ev": ["some"]}],
            cfg={"direct_reclaim_threshold_ms": 5000},
        ),
        _case(
            "victims-that-fail",
            [
                _quiet(),
                {"at": 1400, "proc": [["state", 8, "D"], ["state", 6, "Z"], ["mem", 7, 3, 0]]},
                {"at": 2500, "mi": low, "vs": scan, "psi_ev": ["some"]},
                {"at": 2800, "proc": [["reuse", 5], ["new", 9, 800, 100, 0, -1, "A"], ["new", 10, 999, 9, 0, 1, "T"]]},
                {"at": 4000, "vs": {"pgscan_kswapd": 900}, "psi_ev": ["some"]},
                {"at": 4050, "vs": {"pgscan_kswapd": 950}, "proc": [["remove", 5]], "psi_ev": ["some"]},
            ],
            cfg={"lowmem_min_oom_score": 300},
        ),
    ]


def main() -> None:
    """Print the sample, one scenario per line."""
    for case in samples():
        sys.stdout.write(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
