"""The parts of an explained kill, as values. `explain` makes them, cli prints them."""

from __future__ import annotations

from dataclasses import dataclass

from .rungs import Rung


@dataclass(frozen=True, slots=True)
class Reading:
    """One number with its unit: `kB`, `pages`, `%`, `us`, `ms` or none."""

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


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the wakeup."""

    name: str
    us: float


@dataclass(frozen=True, slots=True)
class Death:
    """What became of the struck process."""

    died_after_us: float | None  # from the signal to its death; None: it was not seen to die
    reap_us: float | None  # process_mrelease; None: it was not tried or had not finished
    reap_error: int  # 0, or the negative errno of process_mrelease


@dataclass(frozen=True, slots=True)
class After:
    """The next record of the same killer."""

    seq: int
    after_ms: int
    freed_kb: int  # free memory then, less free memory at the kill


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that a trace tells of one wakeup."""

    index: int  # in Trace.records; -1: a strike in the kernel, which has none
    seq: int  # of the record; of a strike its number
    killer_pid: int
    monotonic_ms: int
    realtime_ns: int | None  # None: the header with the clocks is lost
    observe: bool  # nobody was signalled
    layers: tuple[int, ...]  # active ones
    trigger: str  # as it was registered; for a poll why there was one
    kind: str  # event, poll, vendor, strike
    level: str  # low, medium, critical; empty: none
    action: str  # ignored, pending, bail, none, kill, invalid, unreadable
    values: tuple[Reading, ...]  # raw counters; those the kernel has not are left out
    signals: tuple[Reading, ...]  # what they mean
    rungs: tuple[Rung, ...]  # the ladder; empty if it was not climbed
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
