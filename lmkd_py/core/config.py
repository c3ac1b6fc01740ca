"""Everything a person can tune. One value, built once, checked once; raises ConfigError and nothing else."""

from __future__ import annotations

from typing import NamedTuple

from .vocabulary import Compat


class ConfigError(ValueError):
    """A config value that cannot be used: which, what was found, what was wanted."""

    def __init__(self, name: str, found: object, wanted: str) -> None:
        super().__init__(f"{name}: found {found!r}, wanted {wanted}")
        self.name = name
        self.found = found
        self.wanted = wanted


class PolicyConfig(NamedTuple):
    """Inputs of decide(). Names and defaults follow AOSP's ro.lmk.* properties (lmkd.cpp, Android 16)."""

    compat: int = Compat.IMPROVED
    kill_heaviest_task: int = 0  # 1: largest of a slot instead of the least recently used
    kill_timeout_ms: int = 100  # 0: wait for ever for a victim's death
    swap_free_low_pct: int = 10  # 0: swap is never low
    swap_util_max_pct: int = 100  # 100: off
    swap_compression_ratio: int = 1  # 0: trust SwapFree
    thrashing_limit_pct: int = 100
    thrashing_limit_decay_pct: int = 10
    thrashing_limit_critical_pct: int = 300
    filecache_min_kb: int = 0  # 0: off
    stall_limit_critical_pct: int = 100  # 100: off
    pressure_after_kill_min_adj: int = 0
    direct_reclaim_threshold_ms: int = 0  # 0: off
    lowmem_min_adj: int = 701  # 1001: LOW_MEM kills nobody


class DomainKind:
    """Which memory is guarded. Numbers are stored in configs and traces."""

    SYSTEM = 0
    MEMCG_V1 = 1
    CGROUP_V2 = 2


class MonitorConfig(NamedTuple):
    """What the daemon watches, guards and how it runs; nothing here is an input of decide()."""

    domain_kind: int = DomainKind.SYSTEM
    domain_path: str = ""  # absolute directory of the cgroup; empty for SYSTEM
    domain_psi_path: str = ""  # MEMCG_V1: directory of its v2 twin (same member tasks); empty: no PSI
    psi_some_stall_ms: int = 70  # stall within the window that raises MEDIUM; 0: no such trigger
    psi_full_stall_ms: int = 700  # the same for CRITICAL
    psi_window_ms: int = 1000
    vmpressure: int = 1  # 1: register vmpressure low, medium and critical where the kernel has them
    memcg_watermark_min_pct: int = 2  # of the domain's limit
    memcg_watermark_low_pct: int = 4
    memcg_watermark_high_pct: int = 6
    scan: int = 1  # 1: discover candidates of the domain by /proc and their oom_score_adj
    scan_min_adj: int = 0  # candidates below it are not discovered (registered ones may be, down to 0)
    observe: int = 0  # 1: decide and record, never signal
    rt_priority: int = 10  # SCHED_FIFO priority of the killer's threads; 0: leave SCHED_OTHER
    lock_memory: int = 1
    sized_candidates: int = 256  # how many of the most expendable get pinned statm and oom_score_adj
    ring_slots: int = 512  # records the killer can hold while the steward is stuck


class Config(NamedTuple):
    """The whole configuration of a daemon; `wire.config` stores it, proto/config.proto documents it."""

    policy: PolicyConfig = PolicyConfig()
    monitor: MonitorConfig = MonitorConfig()


DEFAULTS = Config()
