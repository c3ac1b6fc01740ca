"""Explain a kill from its trace: what woke the killer, what it saw, which rule spoke, whom it hit, what came of it."""

from __future__ import annotations

from ..core.config import DEFAULTS, PolicyConfig
from ..core.describe import describe
from ..core.snapshot import Candidate
from ..core.vocabulary import ABSENT, Action, Level, ReclaimState, WakeupKind, Watermark
from ..wire.record import Record
from .contents import Trace, Traced
from .explain_strike import explain_strike
from .explanation import After, Considered, Death, Explanation, Phase, Reading
from .rungs import MATCHED, Rung, rungs, signals_of, word

# Units by the ending of a field's name; the first that fits.
_UNITS = (
    ("_kb", "kB", 1),
    ("_pages", "pages", 1),
    ("_centi_pct", "%", 100),
    ("_pct", "%", 1),
    ("_us", "us", 1),
    ("_ms", "ms", 1),
)
_NO_COUNTERS = frozenset(("now_ms", "kind", "level", "page_kb", "victim_alive", "outcome", "candidates"))
_NO_MEASURES = frozenset(("action", "reason", "min_adj", "poll_request", "state"))
# Actions that end before the ladder is climbed.
_CLIMBED = frozenset((int(Action.NONE), int(Action.KILL)))


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
    ladder = _ladder(record, config) if traced.config else ()
    matched = next((rung for rung in ladder if rung.word == MATCHED and rung.reason == judgement.reason), None)
    victims = tuple(_considered(trace, candidate, record) for candidate in snapshot.candidates)
    return Explanation(
        index=index,
        seq=record.seq,
        killer_pid=record.killer_pid,
        monotonic_ms=snapshot.now_ms,
        realtime_ns=_realtime_ns(traced, snapshot.now_ms),
        observe=bool(record.observe),
        layers=tuple(bit for bit in range(63) if record.layers >> bit & 1),
        trigger=_trigger(traced, record),
        kind=word(WakeupKind, snapshot.kind),
        level="" if snapshot.level == ABSENT else word(Level, snapshot.level),
        action=word(Action, judgement.action),
        values=_readings(snapshot, _NO_COUNTERS),
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
        attempts=record.outcome.attempts,
        error=record.outcome.error,
        phases=_phases(record),
        death=_death(trace, index, record),
        after=_after(trace, index, record),
    )


def _ladder(record: Record, config: PolicyConfig) -> tuple[Rung, ...]:
    low_event = record.snapshot.kind == WakeupKind.EVENT and record.snapshot.level == Level.LOW
    if record.judgement.action not in _CLIMBED or record.snapshot.kind == WakeupKind.ZONEINFO or low_event:
        return ()
    return rungs(signals_of(record, config), config)


def _realtime_ns(traced: Traced, monotonic_ms: int) -> int | None:
    header = traced.header
    if header is None:
        return None
    return header.start_realtime_ns + monotonic_ms * 1_000_000 - header.start_monotonic_ns


def _trigger(traced: Traced, record: Record) -> str:
    triggers = traced.header.triggers if traced.header else ()
    if 0 <= record.trigger < len(triggers):
        return triggers[record.trigger]
    if record.snapshot.kind == WakeupKind.POLL:
        return "poll timer"
    return f"trigger {record.trigger}, which the header does not name"


def _readings(value: object, without: frozenset[str]) -> tuple[Reading, ...]:
    names: tuple[str, ...] = getattr(value, "_fields", ())
    readings = (_reading(name, getattr(value, name)) for name in names if name not in without)
    return tuple(reading for reading in readings if reading.value != ABSENT)


def _reading(name: str, value: int) -> Reading:
    if name in ("breached", "reclaim"):
        enum = Watermark if name == "breached" else ReclaimState
        return Reading(f"{name} {word(enum, value)}", value, "")
    for ending, unit, divisor in _UNITS:
        if name.endswith(ending):
            scaled = value if divisor == 1 or value == ABSENT else value / divisor
            return Reading(name.removesuffix(ending), scaled, unit)
    return Reading(name, value, "")


def _text(record: Record, config: PolicyConfig) -> str:
    try:
        return describe(record.judgement, record.snapshot, config)
    except (ValueError, KeyError):  # a reason this version does not know
        return f"reason {record.judgement.reason}"


def _floor_note(record: Record, config: PolicyConfig, matched: Rung | None) -> str:
    floor = record.judgement.min_adj
    if record.judgement.action != Action.KILL or (matched and matched.min_adj == floor):
        return ""
    full_pct = record.snapshot.psi_mem_full_avg10_centi_pct / 100
    if floor == 0 and full_pct > config.stall_limit_critical_pct:
        return f"0 as all tasks stall {full_pct:.2f} % of the time, more than {config.stall_limit_critical_pct} %"
    # AOSP looks twice before its very first kill and keeps half of what it decided at first.
    return "decided with the watermarks of an earlier look"


def _considered(trace: Trace, candidate: Candidate, record: Record) -> Considered:
    size = candidate.rss_pages
    return Considered(
        pid=candidate.pid,
        uid=candidate.uid,
        name=trace.name_of(candidate.pid, candidate.start_ticks),
        adj=candidate.adj,
        size_kb=None if size == ABSENT else size * record.snapshot.page_kb,
        struck=candidate.pid == record.outcome.pid,
    )


def _victim(trace: Trace, record: Record, victims: tuple[Considered, ...]) -> Considered | None:
    outcome = record.outcome
    if outcome.pid <= 0:
        return None
    listed = next((victim for victim in victims if victim.struck), None)
    # Its size at the strike is fresher than the one it was ranked by.
    size = outcome.rss_pages * record.snapshot.page_kb if outcome.rss_pages != ABSENT else None
    if listed is None:  # so many strikes failed that it is not among the recorded rows
        return Considered(outcome.pid, ABSENT, "", outcome.adj, size, True)
    return Considered(listed.pid, listed.uid, listed.name, outcome.adj, listed.size_kb if size is None else size, True)


def _phases(record: Record) -> tuple[Phase, ...]:
    timings = record.timings
    phases = [Phase(name.removesuffix("_ns"), getattr(timings, name) / 1000) for name in timings._fields[1:]]
    return (*phases, Phase("total", sum(phase.us for phase in phases)))


def _death(trace: Trace, index: int, record: Record) -> Death | None:
    if record.outcome.pid <= 0:
        return None
    for traced in trace.records[index + 1 :]:
        if traced.killer_pid != record.killer_pid:
            continue
        after = traced.record.aftermath
        if after.pid == record.outcome.pid:
            died = (after.died_ns - after.struck_ns) / 1000 if after.died_ns else None
            return Death(died, after.reap_ns / 1000 if after.reap_ns else None, after.reap_result)
        if traced.killed:  # the next one was struck; of this one nothing more is told
            return None
    return None


def _after(trace: Trace, index: int, record: Record) -> After | None:
    for traced in trace.records[index + 1 :]:
        if traced.killer_pid == record.killer_pid:
            following = traced.record
            return After(
                following.seq,
                following.snapshot.now_ms - record.snapshot.now_ms,
                following.snapshot.mem_free_kb - record.snapshot.mem_free_kb,
            )
    return None
