"""Comparing what the policy did with what the daemon had recorded, and counting it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .case import NO_END, Evaluation, comparable, recorded
from .daemon import Daemon

# Kill reason to row of the decision table; everything from 1000 on is the vendor's row.
_ROWS = {0: 2, 1: 3, 2: 4, 3: 5, 6: 6, 4: 7, 5: 8, 9: 9, 7: 10, 8: 11}
_ALL_ROWS = [f"row {row:2d}" for row in range(1, 12)]
_SHOWN = 10  # differences printed in full


@dataclass(slots=True)
class Result:
    """One scenario: agreements and totals by row and by outcome, evaluations left out, the first difference."""

    rows: Counter[tuple[str, bool]] = field(default_factory=Counter)
    outs: Counter[tuple[str, bool]] = field(default_factory=Counter)
    kills: int = 0
    skipped: int = 0
    difference: str = ""


def check(case: dict[str, Any], kind: int) -> Result:
    """Run one scenario and compare it; of AOSP_MENDED only as far as the daemon's defects let it be compared."""
    result = Result()
    done = Daemon(case, kind).run()
    end = comparable(case, kind)
    count = 0
    for count, (place, wanted) in enumerate(recorded(case), 1):
        if place >= end:
            result.skipped += 1
            continue
        found = done[count - 1] if count <= len(done) else None
        agrees = found is not None and _alike(found, wanted)
        result.outs[wanted.out, agrees] += 1
        result.kills += len(wanted.kills)
        for row in {_row(kill.reason) for kill in wanted.kills}:
            result.rows[row, agrees] += 1
        if not agrees and not result.difference:
            result.difference = f"{case['id']} entry {place[0]}:\n  wanted {wanted}\n  found  {found}"
    if end == NO_END and len(done) > count:
        result.outs["surplus", False] += len(done) - count
        result.difference = result.difference or f"{case['id']}: went on with {done[count]}"
    return result


def _alike(found: Evaluation, wanted: Evaluation) -> bool:
    if wanted.wait is not None and (found.wait, found.hold) != (wanted.wait, wanted.hold):
        return False
    return (
        found.t == wanted.t
        and found.step == wanted.step
        and found.src == wanted.src
        and found.lvl == wanted.lvl
        and found.out == wanted.out
        and found.kills == wanted.kills
        and found.scan == wanted.scan
        and found.zi == wanted.zi
    )


def _row(reason: int) -> str:
    return f"row {_ROWS.get(reason, 1):2d}"


class Tally:
    """Agreement and differences, summed over scenarios."""

    def __init__(self) -> None:
        self._rows: Counter[tuple[str, bool]] = Counter()
        self._outs: Counter[tuple[str, bool]] = Counter()
        self._scenarios = 0
        self._kills = 0
        self._skipped = 0
        self._differences: list[str] = []

    def add(self, result: Result) -> None:
        self._rows.update(result.rows)
        self._outs.update(result.outs)
        self._scenarios += 1
        self._kills += result.kills
        self._skipped += result.skipped
        if result.difference:
            self._differences.append(result.difference)

    def agrees(self) -> bool:
        """Whether every compared evaluation agreed."""
        return not self._differences

    def report(self, compat: str) -> str:
        """The table of results, as text."""
        lines = [
            *self._differences[:_SHOWN],
            *_table(self._rows, _ALL_ROWS),
            *_table(self._outs, sorted(_seen(self._outs))),
        ]
        agreed = sum(n for (_, agrees), n in self._outs.items() if agrees)
        compared = sum(self._outs.values())
        percent = 100 * agreed / compared if compared else 100.0
        # Never round a miss up to 100.
        shown = "100" if agreed == compared else f"{min(percent, 99.999):.3f}"
        lines.append(
            f"total ({compat}): {self._scenarios} scenarios, {len(self._differences)} of them differ;"
            f" {compared} evaluations compared, {agreed} agree ({shown} %), {self._skipped} skipped;"
            f" {self._kills} kills compared"
        )
        return "\n".join(lines)


def _seen(counts: Counter[tuple[str, bool]]) -> set[str]:
    return {name for name, _ in counts}


def _table(counts: Counter[tuple[str, bool]], names: list[str]) -> list[str]:
    return [f"{name:9s} {counts[name, True]:8d} of {counts[name, True] + counts[name, False]:8d}" for name in names]
