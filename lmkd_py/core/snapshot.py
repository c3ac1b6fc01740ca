"""What one wakeup saw: raw counters, the last strike's outcome and the candidates. Never a percentage we derived."""

from __future__ import annotations

from typing import NamedTuple

from .vocabulary import ABSENT

REAPED = 2  # victim_alive: the memory it had for itself alone has been given back already


class Candidate(NamedTuple):
    """One process that may be struck, as the killer knows it. `adj` is oom_score_adj."""

    pid: int
    uid: int
    adj: int
    rss_pages: int  # statm field 2; ABSENT where it was not read, 0 for a zombie
    start_ticks: int  # field 22 of /proc/pid/stat, clock ticks since boot
    age: int  # registration stamp, larger is newer; AOSP takes the oldest of a slot first
    swap_pages: int = ABSENT  # what it had in swap when the steward last looked; ABSENT if unknown


class Outcome(NamedTuple):
    """What became of a decision; part of the next Snapshot. Times in monotonic ms."""

    pid: int  # struck process; 0: nobody was struck
    adj: int
    rss_pages: int  # its size when it was struck; ABSENT if unknown
    at_ms: int  # when it was struck
    error: int  # 0, or the negative errno of the last failed strike
    attempts: int  # strikes tried, failed ones included
    swap_pages: int = ABSENT  # what it had in swap when that was last looked at; ABSENT if unknown
    shared_pages: int = ABSENT  # of rss_pages those of files and shared memory (statm field 3); ABSENT if unknown


NO_OUTCOME = Outcome(0, 0, ABSENT, 0, 0, 0)


class Snapshot(NamedTuple):
    """Raw counters of one domain at one wakeup. ABSENT (-1) is 'this kernel has no such counter', never 0.

    Fewer than 60 fields: a larger tuple leaves CPython's small-object pools for malloc.
    Sources: /proc/meminfo (kB), vmstat (pages or events), zoneinfo (pages), PSI (hundredths of a percent, us).
    """

    now_ms: int  # CLOCK_MONOTONIC
    kind: int  # WakeupKind
    level: int  # Level of the trigger, or of the handler that polls; ABSENT for VENDOR and ZONEINFO
    page_kb: int
    # previous decision
    outcome: Outcome  # of the last evaluation that struck; NO_OUTCOME if the last evaluation struck nobody
    victim_alive: int  # 1, REAPED: the awaited victim has not died yet; 0: nobody is awaited or it died
    # meminfo
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
    # vmstat
    nr_inactive_file_pages: int
    nr_active_file_pages: int
    workingset_refault_pages: int  # file refaults; the one counter of kernels before 5.9
    refault_anon_pages: int  # anonymous pages read back from swap (Linux 5.9)
    # How far reclaim has come. Only movement is looked at; ProgressSource says what a domain counts here.
    kswapd_progress: int
    direct_progress: int
    refill_progress: int
    # zoneinfo: sums over populated zones of watermark + max(protection); ABSENT: not read this time, the cached stay
    watermark_min_pages: int
    watermark_low_pages: int
    watermark_high_pages: int
    # PSI
    psi_mem_some_avg10_centi_pct: int
    psi_mem_full_avg10_centi_pct: int
    psi_io_some_avg10_centi_pct: int
    psi_io_full_avg10_centi_pct: int
    psi_cpu_some_avg10_centi_pct: int
    psi_mem_some_total_us: int
    psi_mem_full_total_us: int
    # memevents (AOSP's BPF source); where it is missing memevents = 0 and pgscan/pgrefill serve
    memevents: int  # 1: reclaim timestamps come from memevents
    direct_reclaim_since_ms: int  # 0: no direct reclaim running
    kswapd_since_ms: int  # 0: kswapd sleeps
    # vendor request (kind VENDOR)
    vendor_reason: int
    vendor_min_adj: int
    # who may be struck, the most expendable first; empty until a verdict asks for them
    candidates: tuple[Candidate, ...]
    # What the killer knows besides the counters.
    hangs: int = 0  # how often it has found all tasks of the domain waiting in vain; they are in direct reclaim
    metered_level: int = ABSENT  # Level at which the stall meter spoke, whatever woke the killer; ABSENT: it did not
    # The stall behind an event of PSI or of the meter, from the totals: in the window, and what is asked for.
    event_stall_us: int = ABSENT  # ABSENT: there is no such event, or nobody can tell
    event_threshold_us: int = ABSENT
    # zoneinfo: by how much the kernel has raised each of the watermarks above for the moment (Linux 5.0; told from
    # 5.14 on); sum over populated zones
    watermark_boost_pages: int = ABSENT
    # mm_stat of the zram devices that swap lies on: what is stored there, and the memory that takes.
    zram_stored_kb: int = ABSENT
    zram_used_kb: int = ABSENT
    zram_swap_kb: int = ABSENT  # size of the swap areas that are zram; 0: none is; ABSENT: areas came or went
    zram_limit_kb: int = ABSENT  # the memory that zram may take (mem_limit); ABSENT: not limited
