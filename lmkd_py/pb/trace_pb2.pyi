# mypy: ignore-errors
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Header(_message.Message):
    __slots__ = ("format", "board", "kernel", "machine", "page_size_bytes", "ram_kb", "boot_id", "start_monotonic_ns", "start_realtime_ns", "clk_tck", "daemon_version", "python_version", "steward_pid", "killer_pid", "config", "config_hash", "config_generation", "layers", "triggers", "domain", "domain_kind", "progress_source", "notes")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    BOARD_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RAM_KB_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    START_MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    START_REALTIME_NS_FIELD_NUMBER: _ClassVar[int]
    CLK_TCK_FIELD_NUMBER: _ClassVar[int]
    DAEMON_VERSION_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    STEWARD_PID_FIELD_NUMBER: _ClassVar[int]
    KILLER_PID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_HASH_FIELD_NUMBER: _ClassVar[int]
    CONFIG_GENERATION_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_KIND_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_SOURCE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    format: int
    board: str
    kernel: str
    machine: str
    page_size_bytes: int
    ram_kb: int
    boot_id: str
    start_monotonic_ns: int
    start_realtime_ns: int
    clk_tck: int
    daemon_version: str
    python_version: str
    steward_pid: int
    killer_pid: int
    config: bytes
    config_hash: str
    config_generation: int
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    triggers: _containers.RepeatedCompositeFieldContainer[ArmedTrigger]
    domain: str
    domain_kind: int
    progress_source: int
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    def __init__(self, format: _Optional[int] = ..., board: _Optional[str] = ..., kernel: _Optional[str] = ..., machine: _Optional[str] = ..., page_size_bytes: _Optional[int] = ..., ram_kb: _Optional[int] = ..., boot_id: _Optional[str] = ..., start_monotonic_ns: _Optional[int] = ..., start_realtime_ns: _Optional[int] = ..., clk_tck: _Optional[int] = ..., daemon_version: _Optional[str] = ..., python_version: _Optional[str] = ..., steward_pid: _Optional[int] = ..., killer_pid: _Optional[int] = ..., config: _Optional[bytes] = ..., config_hash: _Optional[str] = ..., config_generation: _Optional[int] = ..., layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., triggers: _Optional[_Iterable[_Union[ArmedTrigger, _Mapping]]] = ..., domain: _Optional[str] = ..., domain_kind: _Optional[int] = ..., progress_source: _Optional[int] = ..., notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("number", "active", "notes")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    number: int
    active: int
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    def __init__(self, number: _Optional[int] = ..., active: _Optional[int] = ..., notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ...) -> None: ...

class ArmedTrigger(_message.Message):
    __slots__ = ("name", "settings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    settings: str
    def __init__(self, name: _Optional[str] = ..., settings: _Optional[str] = ...) -> None: ...

class Process(_message.Message):
    __slots__ = ("pid", "start_ticks", "uid", "name", "cmdline", "cgroup")
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CMDLINE_FIELD_NUMBER: _ClassVar[int]
    CGROUP_FIELD_NUMBER: _ClassVar[int]
    pid: int
    start_ticks: int
    uid: int
    name: str
    cmdline: str
    cgroup: str
    def __init__(self, pid: _Optional[int] = ..., start_ticks: _Optional[int] = ..., uid: _Optional[int] = ..., name: _Optional[str] = ..., cmdline: _Optional[str] = ..., cgroup: _Optional[str] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("monotonic_ns", "kind", "text", "number", "layer", "errno", "subject")
    MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    ERRNO_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    monotonic_ns: int
    kind: str
    text: str
    number: int
    layer: int
    errno: int
    subject: str
    def __init__(self, monotonic_ns: _Optional[int] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ..., number: _Optional[int] = ..., layer: _Optional[int] = ..., errno: _Optional[int] = ..., subject: _Optional[str] = ...) -> None: ...

class Strike(_message.Message):
    __slots__ = ("monotonic_ns", "kick_ns", "pid", "start_ticks", "adj", "rss_pages", "reason", "number", "killer_pid")
    MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    KICK_NS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    ADJ_FIELD_NUMBER: _ClassVar[int]
    RSS_PAGES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KILLER_PID_FIELD_NUMBER: _ClassVar[int]
    monotonic_ns: int
    kick_ns: int
    pid: int
    start_ticks: int
    adj: int
    rss_pages: int
    reason: int
    number: int
    killer_pid: int
    def __init__(self, monotonic_ns: _Optional[int] = ..., kick_ns: _Optional[int] = ..., pid: _Optional[int] = ..., start_ticks: _Optional[int] = ..., adj: _Optional[int] = ..., rss_pages: _Optional[int] = ..., reason: _Optional[int] = ..., number: _Optional[int] = ..., killer_pid: _Optional[int] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("seq", "trigger", "observe", "layers", "config_generation", "candidates_considered", "snapshot", "state", "judgement", "outcome", "aftermath", "timings", "killer_pid", "domain_id", "left_out")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_GENERATION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_CONSIDERED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AFTERMATH_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    KILLER_PID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_ID_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    trigger: int
    observe: int
    layers: int
    config_generation: int
    candidates_considered: int
    snapshot: Snapshot
    state: PolicyState
    judgement: Judgement
    outcome: Outcome
    aftermath: Aftermath
    timings: Timings
    killer_pid: int
    domain_id: int
    left_out: LeftOut
    def __init__(self, seq: _Optional[int] = ..., trigger: _Optional[int] = ..., observe: _Optional[int] = ..., layers: _Optional[int] = ..., config_generation: _Optional[int] = ..., candidates_considered: _Optional[int] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., state: _Optional[_Union[PolicyState, _Mapping]] = ..., judgement: _Optional[_Union[Judgement, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., aftermath: _Optional[_Union[Aftermath, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., killer_pid: _Optional[int] = ..., domain_id: _Optional[int] = ..., left_out: _Optional[_Union[LeftOut, _Mapping]] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("now_ms", "kind", "level", "page_kb", "outcome", "victim_alive", "mem_total_kb", "mem_free_kb", "buffers_kb", "cached_kb", "swap_cached_kb", "active_anon_kb", "inactive_anon_kb", "active_file_kb", "inactive_file_kb", "unevictable_kb", "swap_total_kb", "swap_free_kb", "shmem_kb", "sreclaimable_kb", "sunreclaim_kb", "kernel_stack_kb", "page_tables_kb", "cma_free_kb", "nr_inactive_file_pages", "nr_active_file_pages", "workingset_refault_pages", "refault_anon_pages", "kswapd_progress", "direct_progress", "refill_progress", "watermark_min_pages", "watermark_low_pages", "watermark_high_pages", "psi_mem_some_avg10_centi_pct", "psi_mem_full_avg10_centi_pct", "psi_io_some_avg10_centi_pct", "psi_io_full_avg10_centi_pct", "psi_cpu_some_avg10_centi_pct", "psi_mem_some_total_us", "psi_mem_full_total_us", "memevents", "direct_reclaim_since_ms", "kswapd_since_ms", "vendor_reason", "vendor_min_adj", "candidates", "hangs", "metered_level", "event_stall_us", "event_threshold_us", "watermark_boost_pages", "zram_stored_kb", "zram_used_kb", "zram_swap_kb", "zram_limit_kb")
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PAGE_KB_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VICTIM_ALIVE_FIELD_NUMBER: _ClassVar[int]
    MEM_TOTAL_KB_FIELD_NUMBER: _ClassVar[int]
    MEM_FREE_KB_FIELD_NUMBER: _ClassVar[int]
    BUFFERS_KB_FIELD_NUMBER: _ClassVar[int]
    CACHED_KB_FIELD_NUMBER: _ClassVar[int]
    SWAP_CACHED_KB_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ANON_KB_FIELD_NUMBER: _ClassVar[int]
    INACTIVE_ANON_KB_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FILE_KB_FIELD_NUMBER: _ClassVar[int]
    INACTIVE_FILE_KB_FIELD_NUMBER: _ClassVar[int]
    UNEVICTABLE_KB_FIELD_NUMBER: _ClassVar[int]
    SWAP_TOTAL_KB_FIELD_NUMBER: _ClassVar[int]
    SWAP_FREE_KB_FIELD_NUMBER: _ClassVar[int]
    SHMEM_KB_FIELD_NUMBER: _ClassVar[int]
    SRECLAIMABLE_KB_FIELD_NUMBER: _ClassVar[int]
    SUNRECLAIM_KB_FIELD_NUMBER: _ClassVar[int]
    KERNEL_STACK_KB_FIELD_NUMBER: _ClassVar[int]
    PAGE_TABLES_KB_FIELD_NUMBER: _ClassVar[int]
    CMA_FREE_KB_FIELD_NUMBER: _ClassVar[int]
    NR_INACTIVE_FILE_PAGES_FIELD_NUMBER: _ClassVar[int]
    NR_ACTIVE_FILE_PAGES_FIELD_NUMBER: _ClassVar[int]
    WORKINGSET_REFAULT_PAGES_FIELD_NUMBER: _ClassVar[int]
    REFAULT_ANON_PAGES_FIELD_NUMBER: _ClassVar[int]
    KSWAPD_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    DIRECT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REFILL_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MIN_PAGES_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_LOW_PAGES_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_HIGH_PAGES_FIELD_NUMBER: _ClassVar[int]
    PSI_MEM_SOME_AVG10_CENTI_PCT_FIELD_NUMBER: _ClassVar[int]
    PSI_MEM_FULL_AVG10_CENTI_PCT_FIELD_NUMBER: _ClassVar[int]
    PSI_IO_SOME_AVG10_CENTI_PCT_FIELD_NUMBER: _ClassVar[int]
    PSI_IO_FULL_AVG10_CENTI_PCT_FIELD_NUMBER: _ClassVar[int]
    PSI_CPU_SOME_AVG10_CENTI_PCT_FIELD_NUMBER: _ClassVar[int]
    PSI_MEM_SOME_TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    PSI_MEM_FULL_TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    MEMEVENTS_FIELD_NUMBER: _ClassVar[int]
    DIRECT_RECLAIM_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    KSWAPD_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    VENDOR_REASON_FIELD_NUMBER: _ClassVar[int]
    VENDOR_MIN_ADJ_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    HANGS_FIELD_NUMBER: _ClassVar[int]
    METERED_LEVEL_FIELD_NUMBER: _ClassVar[int]
    EVENT_STALL_US_FIELD_NUMBER: _ClassVar[int]
    EVENT_THRESHOLD_US_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_BOOST_PAGES_FIELD_NUMBER: _ClassVar[int]
    ZRAM_STORED_KB_FIELD_NUMBER: _ClassVar[int]
    ZRAM_USED_KB_FIELD_NUMBER: _ClassVar[int]
    ZRAM_SWAP_KB_FIELD_NUMBER: _ClassVar[int]
    ZRAM_LIMIT_KB_FIELD_NUMBER: _ClassVar[int]
    now_ms: int
    kind: int
    level: int
    page_kb: int
    outcome: Outcome
    victim_alive: int
    mem_total_kb: int
    mem_free_kb: int
    buffers_kb: int
    cached_kb: int
    swap_cached_kb: int
    active_anon_kb: int
    inactive_anon_kb: int
    active_file_kb: int
    inactive_file_kb: int
    unevictable_kb: int
    swap_total_kb: int
    swap_free_kb: int
    shmem_kb: int
    sreclaimable_kb: int
    sunreclaim_kb: int
    kernel_stack_kb: int
    page_tables_kb: int
    cma_free_kb: int
    nr_inactive_file_pages: int
    nr_active_file_pages: int
    workingset_refault_pages: int
    refault_anon_pages: int
    kswapd_progress: int
    direct_progress: int
    refill_progress: int
    watermark_min_pages: int
    watermark_low_pages: int
    watermark_high_pages: int
    psi_mem_some_avg10_centi_pct: int
    psi_mem_full_avg10_centi_pct: int
    psi_io_some_avg10_centi_pct: int
    psi_io_full_avg10_centi_pct: int
    psi_cpu_some_avg10_centi_pct: int
    psi_mem_some_total_us: int
    psi_mem_full_total_us: int
    memevents: int
    direct_reclaim_since_ms: int
    kswapd_since_ms: int
    vendor_reason: int
    vendor_min_adj: int
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    hangs: int
    metered_level: int
    event_stall_us: int
    event_threshold_us: int
    watermark_boost_pages: int
    zram_stored_kb: int
    zram_used_kb: int
    zram_swap_kb: int
    zram_limit_kb: int
    def __init__(self, now_ms: _Optional[int] = ..., kind: _Optional[int] = ..., level: _Optional[int] = ..., page_kb: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., victim_alive: _Optional[int] = ..., mem_total_kb: _Optional[int] = ..., mem_free_kb: _Optional[int] = ..., buffers_kb: _Optional[int] = ..., cached_kb: _Optional[int] = ..., swap_cached_kb: _Optional[int] = ..., active_anon_kb: _Optional[int] = ..., inactive_anon_kb: _Optional[int] = ..., active_file_kb: _Optional[int] = ..., inactive_file_kb: _Optional[int] = ..., unevictable_kb: _Optional[int] = ..., swap_total_kb: _Optional[int] = ..., swap_free_kb: _Optional[int] = ..., shmem_kb: _Optional[int] = ..., sreclaimable_kb: _Optional[int] = ..., sunreclaim_kb: _Optional[int] = ..., kernel_stack_kb: _Optional[int] = ..., page_tables_kb: _Optional[int] = ..., cma_free_kb: _Optional[int] = ..., nr_inactive_file_pages: _Optional[int] = ..., nr_active_file_pages: _Optional[int] = ..., workingset_refault_pages: _Optional[int] = ..., refault_anon_pages: _Optional[int] = ..., kswapd_progress: _Optional[int] = ..., direct_progress: _Optional[int] = ..., refill_progress: _Optional[int] = ..., watermark_min_pages: _Optional[int] = ..., watermark_low_pages: _Optional[int] = ..., watermark_high_pages: _Optional[int] = ..., psi_mem_some_avg10_centi_pct: _Optional[int] = ..., psi_mem_full_avg10_centi_pct: _Optional[int] = ..., psi_io_some_avg10_centi_pct: _Optional[int] = ..., psi_io_full_avg10_centi_pct: _Optional[int] = ..., psi_cpu_some_avg10_centi_pct: _Optional[int] = ..., psi_mem_some_total_us: _Optional[int] = ..., psi_mem_full_total_us: _Optional[int] = ..., memevents: _Optional[int] = ..., direct_reclaim_since_ms: _Optional[int] = ..., kswapd_since_ms: _Optional[int] = ..., vendor_reason: _Optional[int] = ..., vendor_min_adj: _Optional[int] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., hangs: _Optional[int] = ..., metered_level: _Optional[int] = ..., event_stall_us: _Optional[int] = ..., event_threshold_us: _Optional[int] = ..., watermark_boost_pages: _Optional[int] = ..., zram_stored_kb: _Optional[int] = ..., zram_used_kb: _Optional[int] = ..., zram_swap_kb: _Optional[int] = ..., zram_limit_kb: _Optional[int] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("pid", "uid", "adj", "rss_pages", "start_ticks", "age", "swap_pages")
    PID_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    ADJ_FIELD_NUMBER: _ClassVar[int]
    RSS_PAGES_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    SWAP_PAGES_FIELD_NUMBER: _ClassVar[int]
    pid: int
    uid: int
    adj: int
    rss_pages: int
    start_ticks: int
    age: int
    swap_pages: int
    def __init__(self, pid: _Optional[int] = ..., uid: _Optional[int] = ..., adj: _Optional[int] = ..., rss_pages: _Optional[int] = ..., start_ticks: _Optional[int] = ..., age: _Optional[int] = ..., swap_pages: _Optional[int] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("pid", "adj", "rss_pages", "at_ms", "error", "attempts", "swap_pages", "shared_pages")
    PID_FIELD_NUMBER: _ClassVar[int]
    ADJ_FIELD_NUMBER: _ClassVar[int]
    RSS_PAGES_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    SWAP_PAGES_FIELD_NUMBER: _ClassVar[int]
    SHARED_PAGES_FIELD_NUMBER: _ClassVar[int]
    pid: int
    adj: int
    rss_pages: int
    at_ms: int
    error: int
    attempts: int
    swap_pages: int
    shared_pages: int
    def __init__(self, pid: _Optional[int] = ..., adj: _Optional[int] = ..., rss_pages: _Optional[int] = ..., at_ms: _Optional[int] = ..., error: _Optional[int] = ..., attempts: _Optional[int] = ..., swap_pages: _Optional[int] = ..., shared_pages: _Optional[int] = ...) -> None: ...

class PolicyState(_message.Message):
    __slots__ = ("started", "killed_last", "struck_ms", "cut_limit_pct", "level_filter", "thrashing_limit_pct", "prev_growth_pct", "base_file_lru_pages", "init_refault_pages", "last_refault_pages", "window_start_ms", "max_thrashing_pct", "check_filecache", "kswapd_progress", "direct_progress", "refill_progress", "hangs", "watermark_min_pages", "watermark_low_pages", "watermark_high_pages", "watermarks_ms", "first_kill_done", "direct_since_ms", "counted_ms", "refault_fell", "victim_kb", "victim_free_kb", "victim_dead_ms", "futile_kills", "futile_kb", "futile_free_kb", "hold_ms", "held_until_ms", "dying_kb", "stuck_since_ms", "hung_ms", "stall_since_ms", "stall_some_us", "stall_file_pages", "stall_anon_pages", "stall_pct", "stall_refault_permille", "stall_windows", "stall_verdict", "stall_kills", "stall_kill_permille", "stall_wait_ms", "stall_wait_until_ms")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    KILLED_LAST_FIELD_NUMBER: _ClassVar[int]
    STRUCK_MS_FIELD_NUMBER: _ClassVar[int]
    CUT_LIMIT_PCT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FILTER_FIELD_NUMBER: _ClassVar[int]
    THRASHING_LIMIT_PCT_FIELD_NUMBER: _ClassVar[int]
    PREV_GROWTH_PCT_FIELD_NUMBER: _ClassVar[int]
    BASE_FILE_LRU_PAGES_FIELD_NUMBER: _ClassVar[int]
    INIT_REFAULT_PAGES_FIELD_NUMBER: _ClassVar[int]
    LAST_REFAULT_PAGES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_THRASHING_PCT_FIELD_NUMBER: _ClassVar[int]
    CHECK_FILECACHE_FIELD_NUMBER: _ClassVar[int]
    KSWAPD_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    DIRECT_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REFILL_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    HANGS_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MIN_PAGES_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_LOW_PAGES_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_HIGH_PAGES_FIELD_NUMBER: _ClassVar[int]
    WATERMARKS_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_KILL_DONE_FIELD_NUMBER: _ClassVar[int]
    DIRECT_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    COUNTED_MS_FIELD_NUMBER: _ClassVar[int]
    REFAULT_FELL_FIELD_NUMBER: _ClassVar[int]
    VICTIM_KB_FIELD_NUMBER: _ClassVar[int]
    VICTIM_FREE_KB_FIELD_NUMBER: _ClassVar[int]
    VICTIM_DEAD_MS_FIELD_NUMBER: _ClassVar[int]
    FUTILE_KILLS_FIELD_NUMBER: _ClassVar[int]
    FUTILE_KB_FIELD_NUMBER: _ClassVar[int]
    FUTILE_FREE_KB_FIELD_NUMBER: _ClassVar[int]
    HOLD_MS_FIELD_NUMBER: _ClassVar[int]
    HELD_UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    DYING_KB_FIELD_NUMBER: _ClassVar[int]
    STUCK_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    HUNG_MS_FIELD_NUMBER: _ClassVar[int]
    STALL_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    STALL_SOME_US_FIELD_NUMBER: _ClassVar[int]
    STALL_FILE_PAGES_FIELD_NUMBER: _ClassVar[int]
    STALL_ANON_PAGES_FIELD_NUMBER: _ClassVar[int]
    STALL_PCT_FIELD_NUMBER: _ClassVar[int]
    STALL_REFAULT_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    STALL_WINDOWS_FIELD_NUMBER: _ClassVar[int]
    STALL_VERDICT_FIELD_NUMBER: _ClassVar[int]
    STALL_KILLS_FIELD_NUMBER: _ClassVar[int]
    STALL_KILL_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    STALL_WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    STALL_WAIT_UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    started: int
    killed_last: int
    struck_ms: int
    cut_limit_pct: int
    level_filter: int
    thrashing_limit_pct: int
    prev_growth_pct: int
    base_file_lru_pages: int
    init_refault_pages: int
    last_refault_pages: int
    window_start_ms: int
    max_thrashing_pct: int
    check_filecache: int
    kswapd_progress: int
    direct_progress: int
    refill_progress: int
    hangs: int
    watermark_min_pages: int
    watermark_low_pages: int
    watermark_high_pages: int
    watermarks_ms: int
    first_kill_done: int
    direct_since_ms: int
    counted_ms: int
    refault_fell: int
    victim_kb: int
    victim_free_kb: int
    victim_dead_ms: int
    futile_kills: int
    futile_kb: int
    futile_free_kb: int
    hold_ms: int
    held_until_ms: int
    dying_kb: int
    stuck_since_ms: int
    hung_ms: int
    stall_since_ms: int
    stall_some_us: int
    stall_file_pages: int
    stall_anon_pages: int
    stall_pct: int
    stall_refault_permille: int
    stall_windows: int
    stall_verdict: int
    stall_kills: int
    stall_kill_permille: int
    stall_wait_ms: int
    stall_wait_until_ms: int
    def __init__(self, started: _Optional[int] = ..., killed_last: _Optional[int] = ..., struck_ms: _Optional[int] = ..., cut_limit_pct: _Optional[int] = ..., level_filter: _Optional[int] = ..., thrashing_limit_pct: _Optional[int] = ..., prev_growth_pct: _Optional[int] = ..., base_file_lru_pages: _Optional[int] = ..., init_refault_pages: _Optional[int] = ..., last_refault_pages: _Optional[int] = ..., window_start_ms: _Optional[int] = ..., max_thrashing_pct: _Optional[int] = ..., check_filecache: _Optional[int] = ..., kswapd_progress: _Optional[int] = ..., direct_progress: _Optional[int] = ..., refill_progress: _Optional[int] = ..., hangs: _Optional[int] = ..., watermark_min_pages: _Optional[int] = ..., watermark_low_pages: _Optional[int] = ..., watermark_high_pages: _Optional[int] = ..., watermarks_ms: _Optional[int] = ..., first_kill_done: _Optional[int] = ..., direct_since_ms: _Optional[int] = ..., counted_ms: _Optional[int] = ..., refault_fell: _Optional[int] = ..., victim_kb: _Optional[int] = ..., victim_free_kb: _Optional[int] = ..., victim_dead_ms: _Optional[int] = ..., futile_kills: _Optional[int] = ..., futile_kb: _Optional[int] = ..., futile_free_kb: _Optional[int] = ..., hold_ms: _Optional[int] = ..., held_until_ms: _Optional[int] = ..., dying_kb: _Optional[int] = ..., stuck_since_ms: _Optional[int] = ..., hung_ms: _Optional[int] = ..., stall_since_ms: _Optional[int] = ..., stall_some_us: _Optional[int] = ..., stall_file_pages: _Optional[int] = ..., stall_anon_pages: _Optional[int] = ..., stall_pct: _Optional[int] = ..., stall_refault_permille: _Optional[int] = ..., stall_windows: _Optional[int] = ..., stall_verdict: _Optional[int] = ..., stall_kills: _Optional[int] = ..., stall_kill_permille: _Optional[int] = ..., stall_wait_ms: _Optional[int] = ..., stall_wait_until_ms: _Optional[int] = ...) -> None: ...

class Judgement(_message.Message):
    __slots__ = ("action", "reason", "min_adj", "thrashing_pct", "max_thrashing_pct", "free_swap_kb", "swap_low_threshold_kb", "swap_util_pct", "breached", "reclaim", "file_lru_kb", "direct_reclaim_ms", "swap_is_low", "poll_request", "state")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MIN_ADJ_FIELD_NUMBER: _ClassVar[int]
    THRASHING_PCT_FIELD_NUMBER: _ClassVar[int]
    MAX_THRASHING_PCT_FIELD_NUMBER: _ClassVar[int]
    FREE_SWAP_KB_FIELD_NUMBER: _ClassVar[int]
    SWAP_LOW_THRESHOLD_KB_FIELD_NUMBER: _ClassVar[int]
    SWAP_UTIL_PCT_FIELD_NUMBER: _ClassVar[int]
    BREACHED_FIELD_NUMBER: _ClassVar[int]
    RECLAIM_FIELD_NUMBER: _ClassVar[int]
    FILE_LRU_KB_FIELD_NUMBER: _ClassVar[int]
    DIRECT_RECLAIM_MS_FIELD_NUMBER: _ClassVar[int]
    SWAP_IS_LOW_FIELD_NUMBER: _ClassVar[int]
    POLL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    action: int
    reason: int
    min_adj: int
    thrashing_pct: int
    max_thrashing_pct: int
    free_swap_kb: int
    swap_low_threshold_kb: int
    swap_util_pct: int
    breached: int
    reclaim: int
    file_lru_kb: int
    direct_reclaim_ms: int
    swap_is_low: int
    poll_request: int
    state: PolicyState
    def __init__(self, action: _Optional[int] = ..., reason: _Optional[int] = ..., min_adj: _Optional[int] = ..., thrashing_pct: _Optional[int] = ..., max_thrashing_pct: _Optional[int] = ..., free_swap_kb: _Optional[int] = ..., swap_low_threshold_kb: _Optional[int] = ..., swap_util_pct: _Optional[int] = ..., breached: _Optional[int] = ..., reclaim: _Optional[int] = ..., file_lru_kb: _Optional[int] = ..., direct_reclaim_ms: _Optional[int] = ..., swap_is_low: _Optional[int] = ..., poll_request: _Optional[int] = ..., state: _Optional[_Union[PolicyState, _Mapping]] = ...) -> None: ...

class Aftermath(_message.Message):
    __slots__ = ("pid", "struck_ns", "died_ns", "reap_ns", "reap_result")
    PID_FIELD_NUMBER: _ClassVar[int]
    STRUCK_NS_FIELD_NUMBER: _ClassVar[int]
    DIED_NS_FIELD_NUMBER: _ClassVar[int]
    REAP_NS_FIELD_NUMBER: _ClassVar[int]
    REAP_RESULT_FIELD_NUMBER: _ClassVar[int]
    pid: int
    struck_ns: int
    died_ns: int
    reap_ns: int
    reap_result: int
    def __init__(self, pid: _Optional[int] = ..., struck_ns: _Optional[int] = ..., died_ns: _Optional[int] = ..., reap_ns: _Optional[int] = ..., reap_result: _Optional[int] = ...) -> None: ...

class LeftOut(_message.Message):
    __slots__ = ("wakeups", "first_ms", "last_ms", "min_free_kb", "max_psi_some_centi_pct", "max_psi_full_centi_pct")
    WAKEUPS_FIELD_NUMBER: _ClassVar[int]
    FIRST_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_FREE_KB_FIELD_NUMBER: _ClassVar[int]
    MAX_PSI_SOME_CENTI_PCT_FIELD_NUMBER: _ClassVar[int]
    MAX_PSI_FULL_CENTI_PCT_FIELD_NUMBER: _ClassVar[int]
    wakeups: int
    first_ms: int
    last_ms: int
    min_free_kb: int
    max_psi_some_centi_pct: int
    max_psi_full_centi_pct: int
    def __init__(self, wakeups: _Optional[int] = ..., first_ms: _Optional[int] = ..., last_ms: _Optional[int] = ..., min_free_kb: _Optional[int] = ..., max_psi_some_centi_pct: _Optional[int] = ..., max_psi_full_centi_pct: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("woke_ns", "inbox_ns", "read_ns", "judge_ns", "rank_ns", "strike_ns")
    WOKE_NS_FIELD_NUMBER: _ClassVar[int]
    INBOX_NS_FIELD_NUMBER: _ClassVar[int]
    READ_NS_FIELD_NUMBER: _ClassVar[int]
    JUDGE_NS_FIELD_NUMBER: _ClassVar[int]
    RANK_NS_FIELD_NUMBER: _ClassVar[int]
    STRIKE_NS_FIELD_NUMBER: _ClassVar[int]
    woke_ns: int
    inbox_ns: int
    read_ns: int
    judge_ns: int
    rank_ns: int
    strike_ns: int
    def __init__(self, woke_ns: _Optional[int] = ..., inbox_ns: _Optional[int] = ..., read_ns: _Optional[int] = ..., judge_ns: _Optional[int] = ..., rank_ns: _Optional[int] = ..., strike_ns: _Optional[int] = ...) -> None: ...
