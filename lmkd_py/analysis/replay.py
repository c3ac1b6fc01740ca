"""Decide every recorded wakeup again, each with its own recorded config: a trace is a regression test of the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.decide import decide
from ..core.snapshot import Outcome
from ..core.state import PolicyState
from ..wire.record import Record
from .contents import Trace

MAX_DIFFERENCES = 1000  # kept of a replay: under another policy every record may differ


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
    """How many decisions were made again, and the differences."""

    records: int  # decided again
    kills: int  # of them with somebody struck
    chained: int  # of them whose memory was compared with that of the record before
    without_config: int  # could not be decided again: the header that holds their config is lost
    different: int  # values that differ
    differences: tuple[Difference, ...]  # the first of them, at most MAX_DIFFERENCES

    @property
    def agrees(self) -> bool:
        """Every recorded wakeup was decided again, and in the same way."""
        return not self.different and not self.without_config


class _Ended(NamedTuple):
    """What a record hands on to the next of its killer."""

    seq: int
    state: PolicyState
    outcome: Outcome


def replay(trace: Trace) -> ReplayResult:
    """Decide all records again. Compared are the judgement field by field, the victim in front and who was struck.

    Where two wakeups of one killer follow each other, with no record lost or left out between them, the later one must
    start from the state and the outcome the earlier one ended with. Of wakeups that were left out nothing is claimed.
    One record after the other is decoded and forgotten: a trace of any length is replayed in the same memory.
    """
    differences: list[Difference] = []
    decided = kills = chained = without_config = different = 0
    former: dict[int, _Ended] = {}
    for traced in trace.records:
        record = traced.record
        found: list[tuple[str, object, object]] = []
        before = former.get(record.killer_pid)
        former[record.killer_pid] = _Ended(record.seq, record.judgement.state, record.outcome)
        if before is not None and record.seq == before.seq + 1 and not record.left_out.wakeups:
            chained += 1
            found += compare("chain.state", record.state, before.state)
            found += compare("chain.outcome", record.snapshot.outcome, before.outcome)
        if traced.config is None:
            without_config += 1
        else:
            decided += 1
            kills += traced.killed
            decision = decide(record.snapshot, record.state, traced.config.policy)
            found += compare("judgement", record.judgement, decision.judgement)
            found += _compare_victims(record, tuple(victim.pid for victim in decision.victims))
        different += len(found)
        for one in found[: MAX_DIFFERENCES - len(differences)]:
            differences.append(Difference(traced.index, record.seq, record.killer_pid, *one))
    return ReplayResult(decided, kills, chained, without_config, different, tuple(differences))


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
