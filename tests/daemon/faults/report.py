"""The figures of a run, for whoever reads the log."""

from __future__ import annotations

import os
import signal

from tests.daemon.faults.judge import Verdict
from tests.daemon.faults.plan import KILLER
from tests.daemon.faults.stage import Recovery, Stage

MS = 1_000_000


def exact(recoveries: list[Recovery], lives: list[tuple[int, int]]) -> list[Recovery]:
    """With the moment in which the killer went live, where the trace tells: who looks from outside sees it later."""
    times: dict[int, list[int]] = {}
    for pid, live_ns in lives:
        times.setdefault(pid, []).append(live_ns)
    return [
        each._replace(back_ns=min([ns for ns in times.get(each.killer_pid, []) if ns > each.hit_ns] + [each.back_ns]))
        for each in recoveries
    ]


def times_ms(recoveries: list[Recovery], *targets: str) -> list[float]:
    """From the fault to the live pair, sorted; stops are left out, nobody died of them."""
    chosen = [each for each in recoveries if each.fault.target in targets and each.fault.signal != signal.SIGSTOP]
    return sorted((each.back_ns - each.hit_ns) / MS for each in chosen)


def _quantiles(name: str, times: list[float]) -> str:
    if not times:
        return f"{name}: none"
    p90 = times[min(len(times) - 1, len(times) * 9 // 10)]
    return f"{name}: n {len(times)}, p50 {times[len(times) // 2]:.0f} ms, p90 {p90:.0f} ms, max {times[-1]:.0f} ms"


def report(stage: Stage, verdict: Verdict) -> str:
    counts = ", ".join(f"{number} {name}" for name, number in sorted(verdict.deaths.items()))
    lines = [
        f"{len(stage.recoveries)} faults, {len(stage.ledger.births)} births, deaths: {counts}",
        f"{verdict.records} records, {verdict.declared} declared lost; load {os.getloadavg()[0]:.1f}",
        _quantiles("killer back", times_ms(stage.recoveries, KILLER)),
        _quantiles("steward and pair back", times_ms(stage.recoveries, "steward", "both", "start")),
        f"stewards ended with {sorted(set(stage.supervisor.codes))}",
        f"struck again while they died: {len(verdict.again)} {verdict.again[:8]}",
        *verdict.faults[:40],
    ]
    return "\n".join(lines)
