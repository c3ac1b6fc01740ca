"""Decide every recorded wakeup again, each with its own recorded config: a trace is a regression test of the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.decide import decide
from ..wire.record import Record
from .trace import Trace


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that the recorded wakeup has and the repeated decision has not."""

    index: int  # in Trace.records
    seq: int
    killer_pid: int
    field: str  # `judgement.reason`, `judgement.state.started`, `victim`, `struck`, `chain.state.…`, `chain.outcome`
    recorded: object
    decided: object


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to."""

    records: int  # decided again
    kills: int  # of them with somebody struck
    chained: int  # of them whose memory was compared with that of the record before
    without_config: int  # could not be decided again: the header that holds their config is lost
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Every recorded wakeup was decided again, and in the same way."""
        return not self.differences and not self.without_config


def replay(trace: Trace) -> ReplayResult:
    """Decide all records again. Compared are the judgement field by field, the victim in front and who was struck.

    Where two records of one killer follow each other without a gap, the later one must start from the state and the
    outcome the earlier one ended with.
    """
    differences: list[Difference] = []
    decided = kills = chained = without_config = 0
    former: dict[int, Record] = {}
    for index, traced in enumerate(trace.records):
        record = traced.record
        found: list[tuple[str, object, object]] = []
        before = former.get(record.killer_pid)
        former[record.killer_pid] = record
        if before is not None and record.seq == before.seq + 1:
            chained += 1
            found += compare("chain.state", record.state, before.judgement.state)
            found += compare("chain.outcome", record.snapshot.outcome, before.outcome)
        if traced.config is None:
            without_config += 1
        else:
            decided += 1
            kills += traced.killed
            decision = decide(record.snapshot, record.state, traced.config.policy)
            found += compare("judgement", record.judgement, decision.judgement)
            found += _compare_victims(record, tuple(victim.pid for victim in decision.victims))
        differences += (Difference(index, record.seq, record.killer_pid, *one) for one in found)
    return ReplayResult(decided, kills, chained, without_config, tuple(differences))


def compare(path: str, recorded: Any, decided: Any) -> list[tuple[str, object, object]]:
    """(field, recorded, decided) for every number in which two equal-shaped values differ."""
    if recorded == decided:
        return []
    if not hasattr(recorded, "_fields"):
        return [(path, recorded, decided)]
    return [
        difference
        for name in recorded._fields
        for difference in compare(f"{path}.{name}", getattr(recorded, name), getattr(decided, name))
    ]


def _compare_victims(record: Record, pids: tuple[int, ...]) -> list[tuple[str, object, object]]:
    considered = record.snapshot.candidates
    recorded = considered[0].pid if considered else 0
    front = pids[0] if pids else 0
    found: list[tuple[str, object, object]] = []
    if recorded != front:
        found.append(("victim", recorded, front))
    struck, attempts = record.outcome.pid, record.outcome.attempts
    # Beyond the rows of a record only the killer knew who came next.
    if struck and attempts <= len(pids) and struck not in pids:
        found.append(("struck", struck, front))
    return found
