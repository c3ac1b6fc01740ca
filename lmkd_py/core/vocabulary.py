"""The field's words as numbers: adj tiers, pressure levels, kill reasons (AOSP lmkd and ActivityManager)."""

from __future__ import annotations

from enum import IntEnum

# A counter this kernel or domain does not have. Every real quantity of a Snapshot is >= 0.
ABSENT = -1

# oom_score_adj tiers as ActivityManager's ProcessList.java names them.
ADJ_MIN = -1000
ADJ_MAX = 1000
CACHED_APP_MAX_ADJ = 999
CACHED_APP_MIN_ADJ = 900
SERVICE_B_ADJ = 800
PREVIOUS_APP_ADJ = 700
HOME_APP_ADJ = 600
SERVICE_ADJ = 500
HEAVY_WEIGHT_APP_ADJ = 400
BACKUP_APP_ADJ = 300
PERCEPTIBLE_LOW_APP_ADJ = 250
PERCEPTIBLE_APP_ADJ = 200
VISIBLE_APP_ADJ = 100
FOREGROUND_APP_ADJ = 0
NATIVE_ADJ = -1000


class Level(IntEnum):
    """Pressure level of a trigger. PSI some is MEDIUM and PSI full is CRITICAL; vmpressure has all three."""

    LOW = 0
    MEDIUM = 1
    CRITICAL = 2


class WakeupKind(IntEnum):
    """What made the killer evaluate."""

    EVENT = 1  # a trigger fired
    POLL = 2  # the poll timer ran out after an event, a kill or a death
    VENDOR = 3  # a vendor kill request (AOSP memevent 5)
    ZONEINFO = 4  # the kernel says its watermarks changed (AOSP memevent 6); notes them and judges nothing


class Watermark(IntEnum):
    """Lowest zone watermark that free memory is strictly below; ordered so that `breached < HIGH` is low or min."""

    MIN = 0
    LOW = 1
    HIGH = 2
    NONE = 3


class ReclaimState(IntEnum):
    """The kind of reclaim that happened since the last evaluation."""

    NONE = 0
    KSWAPD = 1
    DIRECT = 2


class ProgressSource(IntEnum):
    """What kswapd_progress, direct_progress and refill_progress count. Numbers are stored in traces."""

    UNKNOWN = 0  # no header says
    VMSTAT = 1  # pages: pgscan_kswapd, pgscan_direct and pgrefill of /proc/vmstat
    BPF = 2  # us of kswapd's run time, and direct reclaims that a BPF program counts; refill is ABSENT
    FAILCNT = 3  # v1 memory cgroup: how often its limit was hit, as direct; the others are 0
    LIMIT_EVENTS = 4  # v2 cgroup: events max and high, as direct; the others are 0


class KillReason(IntEnum):
    """AOSP's numbers (lmkd statslog.h); a vendor kill is VENDOR_BASE + its own number; ours start at 2000."""

    NONE = -1
    PRESSURE_AFTER_KILL = 0
    NOT_RESPONDING = 1
    LOW_SWAP_AND_THRASHING = 2
    LOW_MEM_AND_SWAP = 3
    LOW_MEM_AND_THRASHING = 4
    DIRECT_RECL_AND_THRASHING = 5
    LOW_MEM_AND_SWAP_UTIL = 6
    LOW_FILECACHE_AFTER_THRASHING = 7
    LOW_MEM = 8
    DIRECT_RECL_STUCK = 9
    VENDOR_BASE = 1000
    IN_KERNEL_STRIKE = 2000  # no verdict of decide(): BPF struck as the killer did not answer
    EXHAUSTED = 2001  # STEADY: less room than the reserve
    STALLED = 2002  # STEADY: pages come back while tasks wait


class Action(IntEnum):
    """What one evaluation came to. Numbers are stored in traces."""

    IGNORED = 1  # level filter: a lower event soon after a higher one
    PENDING = 2  # the last victim is not dead yet and its kill timeout not over
    BAIL = 3  # no reclaim and no refault since the last evaluation
    NONE = 4  # evaluated, nothing to do
    KILL = 5  # a verdict stands; whether anybody died is the outcome's business
    INVALID = 6  # vendor request out of range
    UNREADABLE = 7  # a counter without which nothing can be judged is ABSENT
    HELD = 8  # a verdict stands, but the last kills freed nothing: nobody is struck for now


class PolicyKind(IntEnum):
    """By which policy. AOSP_EXACT has eight defects of upstream, `defect:` in tests/data/oracle; AOSP_MENDED none."""

    AOSP_MENDED = 0
    AOSP_EXACT = 1
    STEADY = 2


class NoteKind:
    """What a note tells of. Traces and the control socket have these words; wire.sentences has a sentence for each."""

    # Layers of the memory guarantee: what holds, and what keeps the killer from one.
    SAMPLE_ALLOCATES = "sample-allocates"
    FRAME_STACK = "frame-stack"
    FRAME_STACK_SHORT = "frame-stack-short"
    FRAME_STACK_UNKNOWN = "frame-stack-unknown"
    RT_PRIORITY_OFF = "rt-priority-off"
    SCHED_FIFO_REFUSED = "sched-fifo-refused"
    RT_QUOTA = "rt-quota"
    CPU_CGROUP_REFUSED = "cpu-cgroup-refused"
    CPU_CGROUP_GIVEN_UP = "cpu-cgroup-given-up"
    LOCK_MEMORY_OFF = "lock-memory-off"
    MLOCKALL_REFUSED = "mlockall-refused"
    POOL = "pool"
    POOL_OFF = "pool-off"
    POOL_NONE_HERE = "pool-none-here"
    POOL_REFUSED = "pool-refused"
    STRIKE = "strike"
    STRIKE_OFF = "strike-off"
    STRIKE_KICKS_ONLY = "strike-kicks-only"
    STRIKE_REFUSED = "strike-refused"
    STRIKE_WEAKER = "strike-weaker"
    WINDOW_ABSENT = "window-absent"
    WINDOW_REFUSED = "window-refused"
    # What protects the daemon, of no layer.
    OOM_SCORE_ADJ_REFUSED = "oom-score-adj-refused"
    COMPACTION_REFUSED = "compaction-refused"
    MEMORY_CGROUPS_ABSENT = "memory-cgroups-absent"
    MEMORY_CGROUP_REFUSED = "memory-cgroup-refused"
    MEMORY_CGROUP_UNLIMITED = "memory-cgroup-unlimited"
    MEMORY_CGROUP_LEFT = "memory-cgroup-left"
    MEMORY_MIN = "memory-min"
    MEMORY_MIN_SHORT = "memory-min-short"
    # What a machine lacks.
    PRESSURE_FILE_ABSENT = "pressure-file-absent"
    V1_CGROUP_ABSENT = "v1-cgroup-absent"
    TRIGGER_REFUSED = "trigger-refused"
    FILE_LACKING = "file-lacking"
    FILE_UNREADABLE = "file-unreadable"
    RECLAIM_UNCOUNTED = "reclaim-uncounted"
    REFAULTS_UNCOUNTED = "refaults-uncounted"
    HIDDEN_PROCESSES = "hidden-processes"
    # How things stand with the daemon.
    DOMAIN_CHOSEN = "domain-chosen"
    KILLER_DEAD = "killer-dead"
    TRIGGER_AWAITED = "trigger-awaited"
    NOTES_LEFT_OUT = "notes-left-out"
    # Events. Of killers, number: a pid.
    KILLER_STARTED = "killer-started"
    KILLER_DIED = "killer-died"
    KILLER_FAILED = "killer-failed"  # number: its exit code
    KILLERS_DIE_YOUNG = "killers-die-young"  # number: how many in a row
    HANDOVER = "handover"
    BEQUEST = "bequest"
    STOPPED = "stopped"
    # Of what is guarded, and whom.
    DOMAIN_GONE = "domain-gone"
    DOMAIN_BACK = "domain-back"  # number: ms without it
    CANDIDATES = "candidates"
    REFUSED = "refused"
    MEMBERSHIP = "membership"  # number: how old the list was by which a victim was in the domain, ms
    OOM_KILLS = "oom-kills"  # number: kills by the kernel's own OOM killer
    KILLS_HELD = "kills-held"  # number: kills in a row that freed nothing
    KILLS_RESUMED = "kills-resumed"
    SWAP_CHANGED = "swap-changed"
    SWAP_REFUSED = "swap-refused"
    PAGED_OUT = "paged-out"  # number: processes of which something was paged out
    PAGE_OUT_REFUSED = "page-out-refused"
    # Of triggers and the strike in the kernel, number: the trigger's bit.
    TRIGGER_LOST = "trigger-lost"
    TRIGGER_ARMED = "trigger-armed"
    REARM_REFUSED = "rearm-refused"
    STRIKE_LAPSED = "strike-lapsed"
    # Of the trace.
    LOST = "lost"  # number: records and strikes that no trace has
    UNREADABLE_RECORD = "unreadable-record"
    ERROR = "error"
    # The configuration (number: its generation, subject: its hash) and the clock (number: CLOCK_REALTIME, ns).
    RELOADED = "reloaded"
    RELOAD_REFUSED = "reload-refused"
    CONFIG_REVERTED = "config-reverted"
    CLOCK_SET = "clock-set"


# Those that say that a layer holds, and how.
HOLDING = (NoteKind.FRAME_STACK, NoteKind.RT_QUOTA, NoteKind.POOL, NoteKind.STRIKE, NoteKind.STRIKE_WEAKER)
# Those that say that the configuration wants it without a layer.
OFF_BY_CONFIG = (
    *(NoteKind.RT_PRIORITY_OFF, NoteKind.LOCK_MEMORY_OFF, NoteKind.POOL_OFF),
    *(NoteKind.STRIKE_OFF, NoteKind.STRIKE_KICKS_ONLY),
)
# Of these the daemon goes without something.
LACKING = (
    *(NoteKind.PRESSURE_FILE_ABSENT, NoteKind.V1_CGROUP_ABSENT, NoteKind.TRIGGER_REFUSED, NoteKind.FILE_LACKING),
    *(NoteKind.FILE_UNREADABLE, NoteKind.RECLAIM_UNCOUNTED, NoteKind.REFAULTS_UNCOUNTED),
)
