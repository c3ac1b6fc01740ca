"""The parts of an explained kill, as values. `explain` makes them, cli prints them."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.vocabulary import ABSENT
from .rungs import Answer


@dataclass(frozen=True, slots=True)
class Reading:
    """One number with its unit: `kB`, `pages`, `%`, `us`, `ms`, what a counter counts, or none."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Considered:
    """A process the killer looked at, in the order it would have struck."""

    pid: int
    uid: int
    name: str  # empty: the trace does not say
    adj: int  # oom_score_adj
    size_kb: int | None  # None: it was not read
    struck: bool
    comm: str = ""  # where it is another one than `name`, which is an application's own
    cgroup: str = ""  # empty: the trace does not say
    swap_kb: int | None = None  # None: not known; what it had in swap when that was last looked at


@dataclass(frozen=True, slots=True)
class Phase:
    """The name of a phase of the wakeup, and how long it took."""

    name: str
    us: float


@dataclass(frozen=True, slots=True)
class Death:
    """When the victim died and how long reaping took."""

    died_after_us: float | None  # from the signal to its death; None: it was not seen to die
    reap_us: float | None  # process_mrelease; None: it was not tried or had not finished
    reap_error: int  # 0, or the negative errno of process_mrelease


@dataclass(frozen=True, slots=True)
class After:
    """What the first record behind the death shows of the effect; where the trace tells of no death, the next one."""

    seq: int
    after_ms: int
    freed_kb: int  # free memory then, less free memory at the kill


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The wakeups between this record and the one before it. They came to no verdict and have no record."""

    wakeups: int  # how many
    during_ms: int  # from the first of them to the last
    min_free_kb: int  # lowest free memory that they saw; -1: unknown
    max_psi_some_pct: float | None  # highest PSI some avg10 that they saw; None: there is no PSI
    max_psi_full_pct: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything a trace says about one kill or wakeup."""

    index: int  # in Trace.records; -1: a strike in the kernel, which has none
    seq: int  # of the record; of a strike its number
    killer_pid: int
    monotonic_ms: int
    realtime_ns: int | None  # None: all headers, with the clocks, are lost
    observe: bool  # nobody was signalled
    layers: tuple[int, ...]  # active ones
    trigger: str  # as it was registered; for a poll why there was one
    kind: str  # event, poll, vendor, strike
    level: str  # low, medium, critical; empty: none
    action: str  # ignored, pending, bail, none, kill, invalid, unreadable, held
    values: tuple[Reading, ...]  # raw counters; those the kernel has not are left out
    signals: tuple[Reading, ...]  # what they mean
    rungs: tuple[Answer, ...]  # the ladder; empty if it was not climbed
    reason: int  # AOSP's number; -1: no verdict
    rule: str  # name of the rule behind the verdict; empty: none
    text: str  # AOSP's words for the verdict
    min_adj: int  # the floor in force; -1: no verdict
    floor_note: str  # why it is not the rule's own floor; empty if it is
    victims: tuple[Considered, ...]
    considered: int  # how many were looked at in all
    victim: Considered | None  # who was struck
    attempts: int  # strikes tried
    error: int  # 0, or the negative errno of the last failed strike
    phases: tuple[Phase, ...]
    death: Death | None  # None: nobody was struck, or the trace ends too early to tell
    after: After | None  # None: this is the killer's last record
    layers_off: tuple[tuple[int, str], ...] = ()  # of the memory guarantee, each with why it was not active
    passed_over: Considered | None = None  # next in line; the victim went before it for its size
    left_out: LeftOut | None = None  # None: no wakeup was left out before this one
    members_age_ms: int = ABSENT  # from the last look at who is in the domain to the strike; ABSENT: moves were told
    paged_out: tuple[tuple[int, str], ...] = ()  # idle processes, within 30 s: how many ms after the kill, and in words
