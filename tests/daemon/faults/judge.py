"""Holds what the trace tells against what the observer saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import Trace, read_trace
from tests.daemon.faults.ledger import BY_ITSELF, BY_US, Death, Killers, Ledger
from tools.observer import SI_KERNEL, Observer

# How long a running steward has to know a candidate: it looks at the domain once a second at least while the killer
# has something to do, and the killer takes in at its next wakeup what it is told.
KNOW_NS = 1_500_000_000


@dataclass
class Verdict:
    """Everything that must be empty, and what is printed."""

    outsiders: list[str] = field(default_factory=list)
    misordered: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)  # died by the daemon's hand, neither filed nor declared lost
    invented: list[str] = field(default_factory=list)  # filed, and nobody was struck
    broken: list[str] = field(default_factory=list)  # the trace itself: torn, gaps, differences in the replay
    again: list[str] = field(default_factory=list)  # struck though another's strike was on its way
    deaths: Counter[str] = field(default_factory=Counter)
    declared: int = 0
    records: int = 0
    lives: list[tuple[int, int]] = field(
        default_factory=list
    )  # pid of each killer that took over, ns when it went live

    @property
    def faults(self) -> list[str]:
        """All of them, each with its class."""
        return [
            f"{name}: {each}"
            for name in ("outsiders", "misordered", "untold", "invented", "broken")
            for each in getattr(self, name)
        ]


def judge(root: Path, ledger: Ledger, seen: Observer, attentive: list[tuple[int, int]]) -> Verdict:
    """To be called after the daemon has stopped."""
    (directory,) = root.glob("traces/*")
    trace = read_trace(directory)
    killers = Killers(((header.killer_pid, header.start_monotonic_ns) for header in trace.headers), seen)
    verdict = Verdict(records=len(trace.records))
    verdict.declared = sum(note.number for note in trace.notes if note.kind == "lost")
    verdict.lives = [(note.number, note.monotonic_ns) for note in trace.notes if note.kind == "handover"]
    deaths = ledger.deaths(seen, killers)
    for death in deaths.values():
        verdict.deaths["by a killer" if death.by.startswith("killer") else death.by] += 1
    _told(verdict, trace, ledger, seen, killers)
    _outsiders(verdict, trace, ledger, seen, killers)
    _order(verdict, ledger, deaths, attentive)
    _whole(verdict, trace)
    return verdict


def _told(verdict: Verdict, trace: Trace, ledger: Ledger, seen: Observer, killers: Killers) -> None:
    # A signal to one who is dying already (result 2) is a strike as well, and has a record of its own.
    sent: Counter[tuple[int, int]] = Counter()
    for kill in ledger.signals(seen, killers):
        sent[0 if kill.code == SI_KERNEL else kill.sender_tid, kill.victim_pid] += 1
    filed: Counter[tuple[int, int]] = Counter()
    for traced in trace.kills:
        filed[traced.killer_pid, traced.record.outcome.pid] += 1
    for strike in trace.strikes:
        filed[0, strike.pid] += 1
    untold = [f"pid {pid} by {who or 'the strike'}" for who, pid in (sent - filed).elements()]
    if len(untold) > verdict.declared:
        verdict.untold = [*untold, f"{verdict.declared} declared lost"]
    first: dict[int, str] = {}
    for kill in ledger.signals(seen, killers):
        who = "the strike" if kill.code == SI_KERNEL else f"killer {kill.sender_tid}"
        birth = ledger.whose(kill.victim_pid, kill.time_ns)
        number = birth.number if birth is not None else -1
        if number in first:
            verdict.again.append(f"pid {kill.victim_pid} by {first[number]} and {who}")
        first.setdefault(number, who)
    verdict.invented = [f"pid {pid} by {who or 'the strike'}" for who, pid in (filed - sent).elements()]


def _outsiders(verdict: Verdict, trace: Trace, ledger: Ledger, seen: Observer, killers: Killers) -> None:
    struck = [
        (kill.time_ns, kill.victim_pid, f"{kill.victim_comm} by {kill.sender_tid} {kill.sender_comm} code {kill.code}")
        for kill in ledger.signals(seen, killers)
    ]
    struck += [(strike.monotonic_ns, strike.pid, f"by the strike of {strike.killer_pid}") for strike in trace.strikes]
    for at_ns, pid, how in struck:
        birth = ledger.whose(pid, at_ns)
        if birth is None or not birth.app.inside:
            verdict.outsiders.append(f"pid {pid} {how}, {birth.app.name if birth else 'none of ours'}, at {at_ns}")


def _order(verdict: Verdict, ledger: Ledger, deaths: dict[int, Death], attentive: list[tuple[int, int]]) -> None:
    """Who died though one strictly more expendable lived, whom the daemon had had the time to know."""
    inside = [birth for birth in ledger.births if birth.app.inside]
    ends = {birth.number: deaths[birth.number].at_ns if birth.number in deaths else 1 << 63 for birth in inside}
    for death in deaths.values():
        if death.by in (BY_US, BY_ITSELF):
            continue
        pid, adj = death.birth.app.pid, death.birth.app.adj
        spared = [
            birth.app
            for birth in inside
            if birth.app.adj > adj
            and birth.born_ns < death.at_ns < ends[birth.number]
            and _known(birth.born_ns, death.at_ns, attentive)
        ]
        if spared:
            better = ", ".join(f"{app.pid} adj {app.adj}" for app in spared[:3])
            verdict.misordered.append(f"pid {pid} adj {adj} {death.by}, while {len(spared)} lived: {better}")


def _known(born_ns: int, at_ns: int, attentive: list[tuple[int, int]]) -> bool:
    return sum(max(0, min(end, at_ns) - max(begin, born_ns)) for begin, end in attentive) >= KNOW_NS


def _whole(verdict: Verdict, trace: Trace) -> None:
    verdict.broken += [f"{loss.length} bytes of {loss.file.name} unreadable: {loss.why}" for loss in trace.losses]
    missing = sum(gap.count for gap in trace.gaps)
    if missing > verdict.declared:
        verdict.broken.append(f"{missing} records missing, {verdict.declared} declared lost")
    result = replay(trace)
    verdict.broken += [f"replay: {difference}" for difference in result.differences[:10]]
    if result.without_config:
        verdict.broken.append(f"{result.without_config} records without their config")
    verdict.broken += [f"note {note.kind}: {note.text}" for note in trace.notes if note.kind == "error"]
