"""Explain a kill from its trace: what woke the killer, what it saw, which rule spoke, whom it hit, what came of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ..core.conditions import word
from ..core.config import DEFAULTS, PolicyConfig
from ..core.describe import describe
from ..core.snapshot import Candidate, Snapshot
from ..core.victims import rank
from ..core.vocabulary import (
    ABSENT,
    PERCEPTIBLE_APP_ADJ,
    Action,
    KillReason,
    Level,
    PolicyKind,
    ProgressSource,
    ReclaimState,
    WakeupKind,
    Watermark,
)
from ..core.wakeup import announced, believed
from ..wire.header import Header
from ..wire.record import Record
from .contents import Trace
from .explain_strike import explain_strike, layers_off
from .explanation import After, Considered, Death, Explanation, LeftOut, Phase, Reading
from .rungs import MATCHED, Answer, rungs_of
from .traced import Traced

# Units by the ending of a field's name; the first that fits.
_UNITS = (
    ("_kb", "kB", 1),
    ("_pages", "pages", 1),
    ("_centi_pct", "%", 100),
    ("_pct", "%", 1),
    ("_us", "us", 1),
    ("_ms", "ms", 1),
)
# By ProgressSource: what the three fields of reclaim progress count.
_PROGRESS = ("kswapd_progress", "direct_progress", "refill_progress")
_PROGRESS_UNITS: dict[int, tuple[str, str, str]] = {
    ProgressSource.VMSTAT: ("pages", "pages", "pages"),
    ProgressSource.BPF: ("us", "reclaims", ""),
    ProgressSource.FAILCNT: ("", "hits of the limit", ""),
    ProgressSource.LIMIT_EVENTS: ("", "limit events", ""),
}
_NO_COUNTERS = frozenset(
    ("now_ms", "kind", "level", "metered_level", "page_kb", "victim_alive", "outcome", "candidates")
)
_NO_MEASURES = frozenset(("action", "reason", "min_adj", "poll_request", "state"))
# Actions that end before the ladder is climbed.
_CLIMBED = frozenset((int(Action.NONE), int(Action.KILL), int(Action.HELD)))


class NoSuchKill(LookupError):
    """A number beyond the kills a trace holds."""


def explain(trace: Trace, number: int) -> Explanation:
    """Kill `number` of a trace, counted from 1 in the order of time."""
    kills = trace.all_kills
    if not 1 <= number <= len(kills):
        wanted = f"a kill from 1 to {len(kills)}" if kills else "a trace with kills; it has none"
        raise NoSuchKill(f"found kill {number}, wanted {wanted}")
    kill = kills[number - 1]
    return explain_record(trace, kill) if isinstance(kill, int) else explain_strike(trace, kill)


def explain_record(trace: Trace, index: int) -> Explanation:
    """Any record of a trace by its index; IndexError beyond the last."""
    traced = trace.records[index]
    record = traced.record
    config = (traced.config or DEFAULTS).policy
    judgement, snapshot = record.judgement, record.snapshot
    wakeup = announced(snapshot)
    ladder = _ladder(record, config) if traced.config else ()
    matched = next((rung for rung in ladder if rung.word == MATCHED and rung.reason == judgement.reason), None)
    victims = tuple(_considered(trace, candidate, record) for candidate in snapshot.candidates)
    return Explanation(
        index=index,
        seq=record.seq,
        killer_pid=record.killer_pid,
        monotonic_ms=snapshot.now_ms,
        realtime_ns=trace.clock.realtime_ns(snapshot.now_ms * 1_000_000),
        observe=bool(record.observe),
        layers=tuple(bit for bit in range(63) if record.layers >> bit & 1),
        layers_off=layers_off(traced.header, record.layers) if traced.header else (),
        trigger=_trigger(traced, record),
        kind=word(WakeupKind, wakeup.kind),
        level="" if wakeup.level == ABSENT else word(Level, wakeup.level),
        action=word(Action, judgement.action),
        values=_counters(traced.header, snapshot),
        signals=_readings(judgement, _NO_MEASURES),
        rungs=ladder,
        reason=judgement.reason,
        rule=matched.rule if matched else "",
        text=_text(record, config),
        min_adj=judgement.min_adj,
        floor_note=_floor_note(record, config, matched) if ladder else "",
        victims=victims,
        considered=record.candidates_considered,
        victim=_victim(trace, record, victims),
        passed_over=_passed_over(record, victims, config) if config.kind == PolicyKind.STEADY else None,
        attempts=record.outcome.attempts,
        error=record.outcome.error,
        phases=_phases(record),
        death=_death(trace, index, record),
        after=_after(trace, index, record),
        left_out=_left_out(record),
        members_age_ms=trace.members_age_ms(record.outcome.at_ms * 1_000_000),
        paged_out=trace.paged_out(snapshot.now_ms),
    )


def _ladder(record: Record, config: PolicyConfig) -> tuple[Answer, ...]:
    snapshot = record.snapshot
    wakeup = believed(announced(snapshot), snapshot, config)
    by_level = config.kind != PolicyKind.STEADY
    low_event = by_level and wakeup.kind == WakeupKind.EVENT and wakeup.level == Level.LOW
    if record.judgement.action not in _CLIMBED or wakeup.kind == WakeupKind.ZONEINFO or low_event:
        return ()
    if snapshot.page_kb < 1:  # no evaluation that climbs: the trace is forged
        return ()
    return rungs_of(record, config)


def _trigger(traced: Traced, record: Record) -> str:
    triggers = traced.header.triggers if traced.header else ()
    if 0 <= record.trigger < len(triggers):
        return triggers[record.trigger].words
    if announced(record.snapshot).kind == WakeupKind.POLL:
        return "poll timer"
    return f"trigger {record.trigger}, which the header does not name"


def _counters(header: Header | None, snapshot: Snapshot) -> tuple[Reading, ...]:
    units = _PROGRESS_UNITS.get(header.progress_source if header else 0)
    readings = _readings(snapshot, _NO_COUNTERS)
    if units is None:
        return readings
    named = dict(zip(_PROGRESS, units))
    return tuple(replace(each, unit=named.get(each.name, each.unit)) for each in readings)


def _readings(value: object, without: frozenset[str]) -> tuple[Reading, ...]:
    names: tuple[str, ...] = getattr(value, "_fields", ())
    readings = (_reading(name, getattr(value, name)) for name in names if name not in without)
    return tuple(reading for reading in readings if reading.value != ABSENT)


def _reading(name: str, value: int) -> Reading:
    if name in ("breached", "reclaim"):
        enum = Watermark if name == "breached" else ReclaimState
        return Reading(f"{name} {word(enum, value)}", value, "")
    plain, unit, divisor = _unit(name)
    return Reading(plain, value if divisor == 1 or value == ABSENT else value / divisor, unit)


@cache
def _unit(name: str) -> tuple[str, str, int]:
    """A field's name without its unit, the unit, and what the number is divided by."""
    for ending, unit, divisor in _UNITS:
        if name.endswith(ending):
            return name.removesuffix(ending), unit, divisor
    return name, "", 1


def _text(record: Record, config: PolicyConfig) -> str:
    try:
        return describe(record.judgement, record.snapshot, config)
    except (ValueError, LookupError):  # a reason this version does not know
        return f"reason {record.judgement.reason}"


def _floor_note(record: Record, config: PolicyConfig, matched: Answer | None) -> str:
    floor = record.judgement.min_adj
    if record.judgement.action == Action.HELD:
        after = record.judgement.state
        if record.judgement.reason == KillReason.STALLED and after.stall_wait_until_ms > record.snapshot.now_ms:
            left_ms = after.stall_wait_until_ms - record.snapshot.now_ms
            why = f"the last {after.stall_kills} STALLED kills did not reduce refaults"
            return f"nobody is killed for {left_ms} ms more: {why}"
        left_ms = after.held_until_ms - record.snapshot.now_ms
        why = f"the last {after.futile_kills} kills freed less than a quarter of their size"
        return f"nobody is killed for {left_ms} ms more: {why}"
    if record.judgement.reason == KillReason.EXHAUSTED and floor == 0:
        since_ms = record.state.stuck_since_ms
        searched_ms = record.snapshot.now_ms - since_ms if since_ms >= 0 else 0
        return f"0 as nobody of adj {PERCEPTIBLE_APP_ADJ + 1} or more was found for {searched_ms} ms"
    if record.judgement.action != Action.KILL or (matched and matched.min_adj == floor):
        return ""
    full_pct = record.snapshot.psi_mem_full_avg10_centi_pct / 100
    if floor == 0 and full_pct > config.stall_limit_critical_pct:
        return f"0 as all tasks stall {full_pct:.2f} % of the time, more than {config.stall_limit_critical_pct} %"
    # AOSP looks twice before its very first kill and keeps half of what it decided at first.
    return "decided with the watermarks of an earlier look"


def _considered(trace: Trace, candidate: Candidate, record: Record) -> Considered:
    size = candidate.rss_pages
    name, comm = trace.names_of(candidate.pid, candidate.start_ticks)
    who = trace.processes.get((candidate.pid, candidate.start_ticks))
    return Considered(
        pid=candidate.pid,
        uid=candidate.uid,
        name=name,
        adj=candidate.adj,
        size_kb=None if size == ABSENT else size * record.snapshot.page_kb,
        struck=candidate.pid == record.outcome.pid,
        comm=comm,
        cgroup=who.cgroup if who else "",
        swap_kb=None if candidate.swap_pages == ABSENT else candidate.swap_pages * record.snapshot.page_kb,
    )


def _passed_over(record: Record, victims: tuple[Considered, ...], config: PolicyConfig) -> Considered | None:
    in_line = rank(record.snapshot.candidates, max(0, record.judgement.min_adj), config._replace(relief_times=0))
    if not in_line or not victims or not victims[0].struck or in_line[0].pid == victims[0].pid:
        return None
    return next(one for one in victims if one.pid == in_line[0].pid)


def _victim(trace: Trace, record: Record, victims: tuple[Considered, ...]) -> Considered | None:
    outcome = record.outcome
    if outcome.pid <= 0:
        return None
    listed = next((victim for victim in victims if victim.struck), None)
    # Its size at the strike is fresher than the one it was ranked by.
    size = outcome.rss_pages * record.snapshot.page_kb if outcome.rss_pages != ABSENT else None
    if listed is None:  # so many strikes failed that it is not among the recorded rows
        return Considered(outcome.pid, ABSENT, "", outcome.adj, size, True)
    return replace(listed, adj=outcome.adj, size_kb=listed.size_kb if size is None else size, struck=True)


def _phases(record: Record) -> tuple[Phase, ...]:
    timings = record.timings
    phases = [Phase(name.removesuffix("_ns"), getattr(timings, name) / 1000) for name in timings._fields[1:]]
    return (*phases, Phase("total", sum(phase.us for phase in phases)))


def _death(trace: Trace, index: int, record: Record) -> Death | None:
    if record.outcome.pid <= 0:
        return None
    for traced in trace.records.following(index):
        if traced.peek("aftermath.pid") == record.outcome.pid:
            died_ns, reap_ns = traced.peek("aftermath.died_ns"), traced.peek("aftermath.reap_ns")
            died_after_us = (died_ns - traced.peek("aftermath.struck_ns")) / 1000 if died_ns else None
            return Death(died_after_us, reap_ns / 1000 if reap_ns else None, traced.peek("aftermath.reap_result"))
        if traced.killed:  # the next one was struck; of this one nothing more is told
            return None
    return None


def _left_out(record: Record) -> LeftOut | None:
    told = record.left_out
    if not told.wakeups:
        return None
    some, full = (None if each == ABSENT else each / 100 for each in told[-2:])
    return LeftOut(told.wakeups, told.last_ms - told.first_ms, told.min_free_kb, some, full)


def _after(trace: Trace, index: int, record: Record) -> After | None:
    # The first record that knows of the death; before that the memory of the victim is not free.
    traced = None
    for later in trace.records.following(index):
        knows = record.outcome.pid > 0 and later.peek("aftermath.pid") == record.outcome.pid
        traced = later if knows or traced is None else traced
        if knows or later.killed or record.outcome.pid <= 0:
            break
    if traced is None:
        return None
    return After(
        traced.seq,
        traced.peek("snapshot.now_ms") - record.snapshot.now_ms,
        traced.peek("snapshot.mem_free_kb") - record.snapshot.mem_free_kb,
    )
