"""Everything a person can tune. One value, built once, checked once; raises ConfigError and nothing else.

Ranges are AOSP's clamps and the kernel's limits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .numbers import STEADY
from .vocabulary import ADJ_MAX, PERCEPTIBLE_APP_ADJ, PolicyKind

MEASURED = -1  # swap_compression_ratio: zram's own where all swap is zram, else 1
BY_RAM = -1  # reserve_kb: 0.5 % of RAM up to 8 MiB, and none below 512 MiB, where that is an application
BY_KIND = -1  # kill_timeout_ms: 1000 for STEADY, which judges anew after each death, else AOSP's 100


class ConfigError(ValueError):
    """A config value that cannot be used: which, what was found, what was wanted."""

    def __init__(self, name: str, found: object, wanted: str) -> None:
        super().__init__(f"{name}: found {found!r}, wanted {wanted}")
        self.name = name
        self.found = found
        self.wanted = wanted


class PolicyConfig(NamedTuple):
    """Inputs of decide(). Names and defaults follow AOSP's ro.lmk.* properties (lmkd.cpp, Android 16)."""

    kind: int = PolicyKind.AOSP_MENDED
    kill_heaviest_task: int = 0  # 1: largest of a slot instead of the least recently used
    kill_timeout_ms: int = BY_KIND  # 0: wait for ever for a victim's death
    swap_free_low_pct: int = 10  # 0: swap is never low
    swap_util_max_pct: int = 100  # 100: off
    swap_compression_ratio: int = MEASURED  # 0: trust SwapFree; AOSP's default is 1
    thrashing_limit_pct: int = 100
    thrashing_limit_decay_pct: int = 10
    thrashing_limit_critical_pct: int = 300
    filecache_min_kb: int = 0  # 0: off
    stall_limit_critical_pct: int = 100  # 100: off
    pressure_after_kill_min_adj: int = 0
    direct_reclaim_threshold_ms: int = 0  # 0: off
    lowmem_min_adj: int = 701  # 1001: LOW_MEM kills nobody
    futile_kills_max: int = 3  # after so many kills in a row that freed nothing: a pause; 0: off; not AOSP_EXACT
    # STEADY only
    reserve_permille: int = 15  # of RAM and swap; with less room than this somebody dies
    stall_some_pct: int = 20  # PSI some of a bad window; 101: no window is bad
    stall_refault_permille: int = 10  # of RAM read back a second in a bad window
    stall_windows: int = 2  # bad windows in a row that kill
    stall_min_adj: int = 701  # 1001: nobody dies for stall
    stuck_ms: int = 700  # after a search in vain for so long everybody may be struck
    relief_times: int = 3  # a cached process so many times as large as the first in line goes first; 0: none does


class DomainKind:
    """Which memory is guarded. Numbers are stored in configs and traces."""

    SYSTEM = 0
    MEMCG_V1 = 1
    CGROUP_V2 = 2
    AUTO = 3  # in a container its own limited memory cgroup, else the whole system


class DomainConfig(NamedTuple):
    """Which memory is guarded."""

    kind: int = DomainKind.AUTO
    path: str = ""  # absolute directory of the cgroup; empty for SYSTEM and AUTO
    psi_path: str = ""  # MEMCG_V1: directory of its v2 twin (same member tasks); empty: no PSI
    watermark_min_pct: int = 2  # of the cgroup's limit
    watermark_low_pct: int = 4
    watermark_high_pct: int = 6


class TriggerConfig(NamedTuple):
    """What wakes the killer."""

    psi_some_stall_ms: int = 70  # stall within the window that raises MEDIUM; 0: no such trigger
    psi_full_stall_ms: int = 700  # the same for CRITICAL
    psi_window_ms: int = 1000
    vmpressure: int = 1  # 1: register vmpressure low, medium and critical where the kernel has them
    kick_reclaims: int = 10  # so many reclaims of the domain: few, as the slower reclaim gets the fewer there are ...
    kick_window_ms: int = 500  # ... within this time make a kick
    kick_gap_ms: int = 25  # at least so much between two kicks


class DiscoveryConfig(NamedTuple):
    """Who may be killed, and of whom the size is known."""

    scan: int = 1  # 1: discover candidates of the domain by /proc and their oom_score_adj
    scan_min_adj: int = 0  # candidates below it are not discovered (registered ones may be, down to 0)
    sized_candidates: int = 256  # how many of the most expendable get pinned statm and oom_score_adj


class GuaranteeConfig(NamedTuple):
    """What steward and killer hold ready, to act at once in a shortage."""

    rt_priority: int = 10  # SCHED_FIFO priority of the killer's threads; 0: leave SCHED_OTHER
    lock_memory: int = 1
    reserve_kb: int = BY_RAM  # locked by the steward and given back right before it has to act; 0: none
    warm_ms: int = 2  # between two warm ticks of a killer that polls after an event; 0: none
    warm_cpu_pct: int = 5  # of one CPU that they may take; 0: none


class StrikeConfig(NamedTuple):
    """What BPF does in the kernel: kicks that wake the killer, and strikes where it does not answer."""

    enabled: int = 1  # 0: neither kicks nor strikes
    min_adj: int = PERCEPTIBLE_APP_ADJ + 1  # nobody below it is struck in the kernel
    answer_ms: int = 50  # how long a kick may stay unanswered
    gap_ms: int = 50  # at least so much between two strikes in the kernel
    lease_ms: int = 10_000  # so long a kick may stay unanswered before the kernel disarms itself


class TraceConfig(NamedTuple):
    """What is recorded of the wakeups, and how many records wait for the steward."""

    ring_slots: int = 256  # records the killer can hold while the steward is stuck
    every: int = 100  # of wakeups that strike nobody one in so many is recorded, and one in half a second; 1: all


class MonitorConfig(NamedTuple):
    """What the daemon watches, guards and how it runs; nothing here is an input of decide()."""

    domain: DomainConfig = DomainConfig()
    triggers: TriggerConfig = TriggerConfig()
    discovery: DiscoveryConfig = DiscoveryConfig()
    guarantee: GuaranteeConfig = GuaranteeConfig()
    strike: StrikeConfig = StrikeConfig()
    trace: TraceConfig = TraceConfig()
    observe: int = 0  # 1: decide and record, never signal
    page_out_pct: int = 0  # of the memory: with less free or in droppable file cache idle apps are paged out


class Config(NamedTuple):
    """The whole configuration of a daemon; `wire.config` stores it, proto/config.proto documents it."""

    policy: PolicyConfig = PolicyConfig()
    monitor: MonitorConfig = MonitorConfig()


DEFAULTS = Config()

_INT32_MAX = 2**31 - 1  # AOSP's properties are C ints
# The kernel takes PSI windows from 500 ms to 10 s (kernel/sched/psi.c).
_PSI_WINDOW_MIN_MS = 500
_PSI_WINDOW_MAX_MS = 10_000

# message, from Config down: field: (lowest, highest)
RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "policy": {
        "kind": (int(PolicyKind.AOSP_MENDED), int(PolicyKind.STEADY)),
        "kill_heaviest_task": (0, 1),
        "kill_timeout_ms": (BY_KIND, _INT32_MAX),
        "swap_free_low_pct": (0, 100),
        "swap_util_max_pct": (0, 100),
        "swap_compression_ratio": (MEASURED, _INT32_MAX),
        "thrashing_limit_pct": (0, _INT32_MAX),
        "thrashing_limit_decay_pct": (0, 100),
        "thrashing_limit_critical_pct": (0, _INT32_MAX),
        "filecache_min_kb": (0, _INT32_MAX),
        "stall_limit_critical_pct": (0, 100),
        "pressure_after_kill_min_adj": (0, ADJ_MAX),
        "direct_reclaim_threshold_ms": (0, _INT32_MAX),
        # Below 201 perceptible apps would die of plain low memory; 1001 kills nobody.
        "lowmem_min_adj": (PERCEPTIBLE_APP_ADJ + 1, ADJ_MAX + 1),
        "futile_kills_max": (0, 1000),
        "reserve_permille": (0, 1000),
        "stall_some_pct": (0, 101),
        "stall_refault_permille": (0, 1_000_000),
        "stall_windows": (1, 100),
        # As lowmem_min_adj: below 201 perceptible apps would die of stall; 1001 kills nobody.
        "stall_min_adj": (PERCEPTIBLE_APP_ADJ + 1, ADJ_MAX + 1),
        "stuck_ms": (0, 600_000),
        "relief_times": (0, 1000),
    },
    "monitor": {"observe": (0, 1), "page_out_pct": (0, 90)},
    "monitor.domain": {
        "kind": (DomainKind.SYSTEM, DomainKind.AUTO),
        "watermark_min_pct": (0, 100),
        "watermark_low_pct": (0, 100),
        "watermark_high_pct": (0, 100),
    },
    "monitor.triggers": {
        "psi_some_stall_ms": (0, _PSI_WINDOW_MAX_MS),
        "psi_full_stall_ms": (0, _PSI_WINDOW_MAX_MS),
        "psi_window_ms": (_PSI_WINDOW_MIN_MS, _PSI_WINDOW_MAX_MS),
        "vmpressure": (0, 1),
        "kick_reclaims": (1, 1_000_000),
        "kick_window_ms": (1, 60_000),
        "kick_gap_ms": (1, 60_000),
    },
    "monitor.discovery": {"scan": (0, 1), "scan_min_adj": (0, ADJ_MAX), "sized_candidates": (0, 100_000)},
    "monitor.guarantee": {
        "rt_priority": (0, 99),
        "lock_memory": (0, 1),
        "reserve_kb": (BY_RAM, 1 << 20),
        "warm_ms": (0, 100),
        "warm_cpu_pct": (0, 100),
    },
    "monitor.strike": {
        "enabled": (0, 1),
        "min_adj": (0, ADJ_MAX + 1),
        # An evaluation takes under 1 ms where nothing holds it up; a minute is for ever.
        "answer_ms": (5, 60_000),
        "gap_ms": (1, 60_000),
        "lease_ms": (100, 600_000),
    },
    "monitor.trace": {"ring_slots": (8, 65_536), "every": (1, 1000)},
}


def kill_timeout_ms(policy: PolicyConfig) -> int:
    """How long a victim's death is awaited; 0: for ever."""
    if policy.kill_timeout_ms >= 0:
        return policy.kill_timeout_ms
    return 1000 if policy.kind == STEADY else 100


def make_policy(**tunables: int) -> PolicyConfig:
    """A checked PolicyConfig: AOSP's defaults, changed by `tunables`.

    thrashing_limit_critical_pct follows thrashing_limit_pct (three times) unless it is given.
    """
    for name in tunables:
        if name not in RANGES["policy"]:
            raise ConfigError(name, tunables[name], "one of " + ", ".join(PolicyConfig._fields))
    policy = PolicyConfig(**tunables)
    if "thrashing_limit_critical_pct" not in tunables:
        _check("policy.thrashing_limit_pct", policy.thrashing_limit_pct, 0, _INT32_MAX // 3)
        policy = policy._replace(thrashing_limit_critical_pct=3 * policy.thrashing_limit_pct)
    _check_ranges(Config(policy), "policy")
    return policy


def low_ram_policy(**tunables: int) -> PolicyConfig:
    """make_policy() with AOSP's defaults for ro.config.low_ram: small devices thrash early and lose it fast."""
    return make_policy(**{"thrashing_limit_pct": 30, "thrashing_limit_decay_pct": 50, **tunables})


def low_ram_monitor(monitor: MonitorConfig) -> MonitorConfig:
    """The monitor with AOSP's trigger for ro.config.low_ram: small devices stall often."""
    return with_settings(monitor, triggers={"psi_some_stall_ms": 200})


def with_settings(monitor: MonitorConfig, **changes: Any) -> MonitorConfig:
    """The monitor with changes; a dictionary changes settings of a part: with_settings(m, strike={"gap_ms": 5})."""
    for name, change in changes.items():
        new = getattr(monitor, name)._replace(**change) if isinstance(change, dict) else change
        monitor = monitor._replace(**{name: new})
    return monitor


def validate(config: Config) -> Config:
    """The config itself if every value can be used; raises ConfigError for the first that cannot."""
    for place in RANGES:
        _check_ranges(config, place)
    domain, triggers = config.monitor.domain, config.monitor.triggers
    for name in ("psi_some_stall_ms", "psi_full_stall_ms"):
        stall_ms = getattr(triggers, name)
        if stall_ms > triggers.psi_window_ms:
            wanted = f"at most its window of {triggers.psi_window_ms} ms"
            raise ConfigError("monitor.triggers." + name, stall_ms, wanted)
    if not domain.watermark_min_pct <= domain.watermark_low_pct <= domain.watermark_high_pct:
        found = (domain.watermark_min_pct, domain.watermark_low_pct, domain.watermark_high_pct)
        raise ConfigError("monitor.domain.watermark_{min,low,high}_pct", found, "min <= low <= high")
    _check_paths(domain)
    return config


def _check_ranges(config: Config, place: str) -> None:
    message: object = config
    for name in place.split("."):
        message = getattr(message, name)
    for name, (lowest, highest) in RANGES[place].items():
        _check(f"{place}.{name}", getattr(message, name), lowest, highest)


def _check(name: str, found: object, lowest: int, highest: int) -> None:
    if not isinstance(found, int) or isinstance(found, bool) or not lowest <= found <= highest:
        raise ConfigError(name, found, f"an integer from {lowest} to {highest}")


def _check_paths(domain: DomainConfig) -> None:
    for name, path in (("path", domain.path), ("psi_path", domain.psi_path)):
        if not isinstance(path, str) or "\0" in path:
            raise ConfigError("monitor.domain." + name, path, "a path")
        if path and not path.startswith("/"):
            raise ConfigError("monitor.domain." + name, path, "an absolute path")
    names_none = domain.kind in (DomainKind.SYSTEM, DomainKind.AUTO)
    if names_none and domain.path:
        is_auto = domain.kind == DomainKind.AUTO
        whole = "as kind AUTO looks for it itself" if is_auto else "as the domain is the whole system"
        wanted = f"nothing, {whole}; for this cgroup set kind MEMCG_V1 or CGROUP_V2"
        raise ConfigError("monitor.domain.path", domain.path, wanted)
    if not names_none and not domain.path:
        raise ConfigError("monitor.domain.path", domain.path, "the directory of the cgroup to guard")
    if domain.psi_path and domain.kind != DomainKind.MEMCG_V1:
        raise ConfigError("monitor.domain.psi_path", domain.psi_path, "nothing: only a v1 memcg has a twin")
