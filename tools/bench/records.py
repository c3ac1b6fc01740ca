"""What the daemon's own trace adds to what the kernel told: when it decided, and how long each phase took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lmkd_py.analysis.trace import read_trace
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.wire.record import Record
from tools.bench.pairing import TimedKill

PHASES = ("inbox_ns", "read_ns", "judge_ns", "rank_ns", "strike_ns")


class Decision(NamedTuple):
    """One evaluation as the trace has it, times on CLOCK_MONOTONIC."""

    woke_ns: int  # poll() had returned
    decided_ns: int
    pid: int  # struck; 0: nobody
    reason: int
    phases_ns: tuple[int, ...]  # in the order of PHASES


def read_decisions(path: str) -> list[Decision]:
    """Every evaluation of a trace file, oldest first."""
    return sorted(_decision(traced.record) for traced in read_trace(path).records)


def _decision(record: Record) -> Decision:
    timings = record.timings
    decided = timings.woke_ns + timings.inbox_ns + timings.read_ns + timings.judge_ns
    phases = tuple(int(getattr(timings, name)) for name in PHASES)
    pid = record.outcome.pid if record.outcome.pid != ABSENT else 0
    return Decision(timings.woke_ns, decided, pid, record.judgement.reason, phases)


def phases_us(struck: Sequence[TimedKill], decisions: Sequence[Decision]) -> dict[str, list[float]]:
    """Microseconds of each phase of the kills that both kernel and trace tell; "wake" is until poll() had returned."""
    killing = {decision.pid: decision for decision in decisions if decision.pid}
    found: dict[str, list[float]] = {}
    for strike in struck:
        decision = killing.get(strike.victim)
        if decision is None or not strike.woken_ns <= decision.woke_ns <= strike.kill_ns:
            continue
        found.setdefault("wake", []).append((decision.woke_ns - strike.woken_ns) / 1000)
        for name, value in zip(PHASES, decision.phases_ns, strict=True):
            found.setdefault(name.removesuffix("_ns"), []).append(value / 1000)
    return found
