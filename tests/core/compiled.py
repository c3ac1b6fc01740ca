"""judge() compiled by numba from core's own source: every function that it calls, and nothing rewritten.

A row is the ints of a snapshot, a state and a config in one tuple.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from lmkd_py.core import (
    climb,
    derived,
    first_kill,
    futile,
    growth,
    judge,
    measured,
    need,
    reclaim,
    remember,
    room,
    rules,
    ruling,
    settle,
    signals,
    stall,
    steady,
    thrashing,
    wakeup,
    watermarks,
)
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decision import Judgement
from lmkd_py.core.snapshot import Outcome, Snapshot
from lmkd_py.core.state import PolicyState

MODULES = (
    growth,
    futile,
    reclaim,
    rules,
    signals,
    thrashing,
    watermarks,
    climb,
    derived,
    first_kill,
    wakeup,
    room,
    need,
    stall,
    steady,
    settle,
    measured,
    derived,
    ruling,
    remember,
    judge,
)
HEAD, CANDIDATES = Snapshot._fields.index("outcome"), Snapshot._fields.index("candidates")
CLASSES: dict[str, Any] = {
    "Snapshot": Snapshot, "Outcome": Outcome, "PolicyState": PolicyState, "PolicyConfig": PolicyConfig
}  # fmt: skip


def compiled_rows() -> Callable[[Any], Any]:
    """A function that judges an array of rows in one compiled loop; core itself is as it was afterwards."""
    from numba import njit

    made: dict[FunctionType, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            for name, value in list(vars(module).items()):
                if isinstance(value, FunctionType) and value.__module__.startswith("lmkd_py.core."):
                    made[value] = made.get(value) or njit(value)
                    patch.setattr(module, name, made[value])
        rows = _rows(njit)
        rows(np.ones((1, sum(width for _, width in _widths())), dtype=np.int64))  # compiles it
    return rows


def _rows(njit: Any) -> Callable[[Any], Any]:
    columns = itertools.count()  # in the order of as_row()
    take = {name: ", ".join(f"r[{next(columns)}]" for _ in range(n)) for name, n in _widths()}
    put = [f"j.{name}" for name in Judgement._fields[:-1]] + [f"j.state.{name}" for name in PolicyState._fields]
    source = [
        "def row(r, out):",
        f"    outcome = Outcome({take['outcome']})",
        f"    snapshot = Snapshot({take['head']}, outcome, {take['middle']}, (), {take['tail']})",
        f"    j = judge(snapshot, PolicyState({take['state']}), PolicyConfig({take['config']}))",
        *(f"    out[{column}] = {value}" for column, value in enumerate(put)),
    ]
    scope: dict[str, Any] = {**CLASSES, "judge": judge.judge}
    exec("\n".join(source), scope)
    row = njit(scope["row"])

    def rows(values: Any, out: Any) -> None:
        for index in range(values.shape[0]):
            row(values[index], out[index])

    loop = njit(rows)

    def judged(values: Any) -> Any:
        out = np.zeros((len(values), len(put)), dtype=np.int64)
        loop(values, out)
        return out

    return judged


def _widths() -> list[tuple[str, int]]:
    return [
        ("head", HEAD),
        ("outcome", len(Outcome._fields)),
        ("middle", CANDIDATES - HEAD - 1),
        ("tail", len(Snapshot._fields) - CANDIDATES - 1),
        ("state", len(PolicyState._fields)),
        ("config", len(PolicyConfig._fields)),
    ]


def as_row(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> tuple[int, ...]:
    """All inputs of a judgement but the candidates, which it does not look at."""
    values: tuple[Any, ...] = snapshot
    middle, tail = values[HEAD + 1 : CANDIDATES], values[CANDIDATES + 1 :]
    return (*values[:HEAD], *snapshot.outcome, *middle, *tail, *state, *config)


def as_result(judgement: Judgement) -> tuple[int, ...]:
    """What the compiled loop puts into a row of its result."""
    return (*judgement[:-1], *judgement.state)


def as_array(values: Sequence[tuple[int, ...]]) -> Any:
    """Rows as the compiled loop takes them."""
    return np.array(values, dtype=np.int64)
