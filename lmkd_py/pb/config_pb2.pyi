# mypy: ignore-errors
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PolicyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AOSP_MENDED: _ClassVar[PolicyKind]
    AOSP_EXACT: _ClassVar[PolicyKind]
    STEADY: _ClassVar[PolicyKind]

class DomainKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYSTEM: _ClassVar[DomainKind]
    MEMCG_V1: _ClassVar[DomainKind]
    CGROUP_V2: _ClassVar[DomainKind]
    AUTO: _ClassVar[DomainKind]
AOSP_MENDED: PolicyKind
AOSP_EXACT: PolicyKind
STEADY: PolicyKind
SYSTEM: DomainKind
MEMCG_V1: DomainKind
CGROUP_V2: DomainKind
AUTO: DomainKind

class Config(_message.Message):
    __slots__ = ("policy", "monitor", "format")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    policy: PolicyConfig
    monitor: MonitorConfig
    format: int
    def __init__(self, policy: _Optional[_Union[PolicyConfig, _Mapping]] = ..., monitor: _Optional[_Union[MonitorConfig, _Mapping]] = ..., format: _Optional[int] = ...) -> None: ...

class PolicyConfig(_message.Message):
    __slots__ = ("kind", "kill_heaviest_task", "kill_timeout_ms", "swap_free_low_pct", "swap_util_max_pct", "swap_compression_ratio", "thrashing_limit_pct", "thrashing_limit_decay_pct", "thrashing_limit_critical_pct", "filecache_min_kb", "stall_limit_critical_pct", "pressure_after_kill_min_adj", "direct_reclaim_threshold_ms", "lowmem_min_adj", "futile_kills_max", "reserve_permille", "stall_some_pct", "stall_refault_permille", "stall_windows", "stall_min_adj", "stuck_ms", "relief_times")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KILL_HEAVIEST_TASK_FIELD_NUMBER: _ClassVar[int]
    KILL_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SWAP_FREE_LOW_PCT_FIELD_NUMBER: _ClassVar[int]
    SWAP_UTIL_MAX_PCT_FIELD_NUMBER: _ClassVar[int]
    SWAP_COMPRESSION_RATIO_FIELD_NUMBER: _ClassVar[int]
    THRASHING_LIMIT_PCT_FIELD_NUMBER: _ClassVar[int]
    THRASHING_LIMIT_DECAY_PCT_FIELD_NUMBER: _ClassVar[int]
    THRASHING_LIMIT_CRITICAL_PCT_FIELD_NUMBER: _ClassVar[int]
    FILECACHE_MIN_KB_FIELD_NUMBER: _ClassVar[int]
    STALL_LIMIT_CRITICAL_PCT_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_AFTER_KILL_MIN_ADJ_FIELD_NUMBER: _ClassVar[int]
    DIRECT_RECLAIM_THRESHOLD_MS_FIELD_NUMBER: _ClassVar[int]
    LOWMEM_MIN_ADJ_FIELD_NUMBER: _ClassVar[int]
    FUTILE_KILLS_MAX_FIELD_NUMBER: _ClassVar[int]
    RESERVE_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    STALL_SOME_PCT_FIELD_NUMBER: _ClassVar[int]
    STALL_REFAULT_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    STALL_WINDOWS_FIELD_NUMBER: _ClassVar[int]
    STALL_MIN_ADJ_FIELD_NUMBER: _ClassVar[int]
    STUCK_MS_FIELD_NUMBER: _ClassVar[int]
    RELIEF_TIMES_FIELD_NUMBER: _ClassVar[int]
    kind: PolicyKind
    kill_heaviest_task: int
    kill_timeout_ms: int
    swap_free_low_pct: int
    swap_util_max_pct: int
    swap_compression_ratio: int
    thrashing_limit_pct: int
    thrashing_limit_decay_pct: int
    thrashing_limit_critical_pct: int
    filecache_min_kb: int
    stall_limit_critical_pct: int
    pressure_after_kill_min_adj: int
    direct_reclaim_threshold_ms: int
    lowmem_min_adj: int
    futile_kills_max: int
    reserve_permille: int
    stall_some_pct: int
    stall_refault_permille: int
    stall_windows: int
    stall_min_adj: int
    stuck_ms: int
    relief_times: int
    def __init__(self, kind: _Optional[_Union[PolicyKind, str]] = ..., kill_heaviest_task: _Optional[int] = ..., kill_timeout_ms: _Optional[int] = ..., swap_free_low_pct: _Optional[int] = ..., swap_util_max_pct: _Optional[int] = ..., swap_compression_ratio: _Optional[int] = ..., thrashing_limit_pct: _Optional[int] = ..., thrashing_limit_decay_pct: _Optional[int] = ..., thrashing_limit_critical_pct: _Optional[int] = ..., filecache_min_kb: _Optional[int] = ..., stall_limit_critical_pct: _Optional[int] = ..., pressure_after_kill_min_adj: _Optional[int] = ..., direct_reclaim_threshold_ms: _Optional[int] = ..., lowmem_min_adj: _Optional[int] = ..., futile_kills_max: _Optional[int] = ..., reserve_permille: _Optional[int] = ..., stall_some_pct: _Optional[int] = ..., stall_refault_permille: _Optional[int] = ..., stall_windows: _Optional[int] = ..., stall_min_adj: _Optional[int] = ..., stuck_ms: _Optional[int] = ..., relief_times: _Optional[int] = ...) -> None: ...

class DomainConfig(_message.Message):
    __slots__ = ("kind", "path", "psi_path", "watermark_min_pct", "watermark_low_pct", "watermark_high_pct")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PSI_PATH_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MIN_PCT_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_LOW_PCT_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_HIGH_PCT_FIELD_NUMBER: _ClassVar[int]
    kind: DomainKind
    path: str
    psi_path: str
    watermark_min_pct: int
    watermark_low_pct: int
    watermark_high_pct: int
    def __init__(self, kind: _Optional[_Union[DomainKind, str]] = ..., path: _Optional[str] = ..., psi_path: _Optional[str] = ..., watermark_min_pct: _Optional[int] = ..., watermark_low_pct: _Optional[int] = ..., watermark_high_pct: _Optional[int] = ...) -> None: ...

class TriggerConfig(_message.Message):
    __slots__ = ("psi_some_stall_ms", "psi_full_stall_ms", "psi_window_ms", "vmpressure", "kick_reclaims", "kick_window_ms", "kick_gap_ms")
    PSI_SOME_STALL_MS_FIELD_NUMBER: _ClassVar[int]
    PSI_FULL_STALL_MS_FIELD_NUMBER: _ClassVar[int]
    PSI_WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    VMPRESSURE_FIELD_NUMBER: _ClassVar[int]
    KICK_RECLAIMS_FIELD_NUMBER: _ClassVar[int]
    KICK_WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    KICK_GAP_MS_FIELD_NUMBER: _ClassVar[int]
    psi_some_stall_ms: int
    psi_full_stall_ms: int
    psi_window_ms: int
    vmpressure: int
    kick_reclaims: int
    kick_window_ms: int
    kick_gap_ms: int
    def __init__(self, psi_some_stall_ms: _Optional[int] = ..., psi_full_stall_ms: _Optional[int] = ..., psi_window_ms: _Optional[int] = ..., vmpressure: _Optional[int] = ..., kick_reclaims: _Optional[int] = ..., kick_window_ms: _Optional[int] = ..., kick_gap_ms: _Optional[int] = ...) -> None: ...

class DiscoveryConfig(_message.Message):
    __slots__ = ("scan", "scan_min_adj", "sized_candidates")
    SCAN_FIELD_NUMBER: _ClassVar[int]
    SCAN_MIN_ADJ_FIELD_NUMBER: _ClassVar[int]
    SIZED_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    scan: int
    scan_min_adj: int
    sized_candidates: int
    def __init__(self, scan: _Optional[int] = ..., scan_min_adj: _Optional[int] = ..., sized_candidates: _Optional[int] = ...) -> None: ...

class GuaranteeConfig(_message.Message):
    __slots__ = ("rt_priority", "lock_memory", "reserve_kb", "warm_ms", "warm_cpu_pct")
    RT_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LOCK_MEMORY_FIELD_NUMBER: _ClassVar[int]
    RESERVE_KB_FIELD_NUMBER: _ClassVar[int]
    WARM_MS_FIELD_NUMBER: _ClassVar[int]
    WARM_CPU_PCT_FIELD_NUMBER: _ClassVar[int]
    rt_priority: int
    lock_memory: int
    reserve_kb: int
    warm_ms: int
    warm_cpu_pct: int
    def __init__(self, rt_priority: _Optional[int] = ..., lock_memory: _Optional[int] = ..., reserve_kb: _Optional[int] = ..., warm_ms: _Optional[int] = ..., warm_cpu_pct: _Optional[int] = ...) -> None: ...

class StrikeConfig(_message.Message):
    __slots__ = ("enabled", "min_adj", "answer_ms", "gap_ms", "lease_ms")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    MIN_ADJ_FIELD_NUMBER: _ClassVar[int]
    ANSWER_MS_FIELD_NUMBER: _ClassVar[int]
    GAP_MS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    enabled: int
    min_adj: int
    answer_ms: int
    gap_ms: int
    lease_ms: int
    def __init__(self, enabled: _Optional[int] = ..., min_adj: _Optional[int] = ..., answer_ms: _Optional[int] = ..., gap_ms: _Optional[int] = ..., lease_ms: _Optional[int] = ...) -> None: ...

class TraceConfig(_message.Message):
    __slots__ = ("ring_slots", "every")
    RING_SLOTS_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    ring_slots: int
    every: int
    def __init__(self, ring_slots: _Optional[int] = ..., every: _Optional[int] = ...) -> None: ...

class MonitorConfig(_message.Message):
    __slots__ = ("domain", "triggers", "discovery", "guarantee", "strike", "trace", "observe", "page_out_pct")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    DISCOVERY_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    STRIKE_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_FIELD_NUMBER: _ClassVar[int]
    PAGE_OUT_PCT_FIELD_NUMBER: _ClassVar[int]
    domain: DomainConfig
    triggers: TriggerConfig
    discovery: DiscoveryConfig
    guarantee: GuaranteeConfig
    strike: StrikeConfig
    trace: TraceConfig
    observe: int
    page_out_pct: int
    def __init__(self, domain: _Optional[_Union[DomainConfig, _Mapping]] = ..., triggers: _Optional[_Union[TriggerConfig, _Mapping]] = ..., discovery: _Optional[_Union[DiscoveryConfig, _Mapping]] = ..., guarantee: _Optional[_Union[GuaranteeConfig, _Mapping]] = ..., strike: _Optional[_Union[StrikeConfig, _Mapping]] = ..., trace: _Optional[_Union[TraceConfig, _Mapping]] = ..., observe: _Optional[int] = ..., page_out_pct: _Optional[int] = ...) -> None: ...
