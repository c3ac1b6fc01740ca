"""judge() takes its tuples apart and makes them by position: here is held that the positions are right."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from lmkd_py.core.decide import judge
from lmkd_py.core.decision import Judgement
from lmkd_py.core.signals import Signals
from lmkd_py.core.snapshot import Snapshot
from lmkd_py.core.state import PolicyState

# Locals that cannot have the field's name, because another tuple's field has it.
STATE_LOCALS = {
    "thrashing_limit_pct": "limit_pct",
    "pgscan_kswapd_pages": "last_kswapd_pages",
    "pgscan_direct_pages": "last_direct_pages",
    "pgrefill_pages": "last_refill_pages",
    "watermark_min_pages": "min_pages",
    "watermark_low_pages": "low_pages",
    "watermark_high_pages": "high_pages",
}
LOCALS: dict[str, list[str]] = {
    "Snapshot": list(Snapshot._fields),
    "PolicyState": [STATE_LOCALS.get(name, name) for name in PolicyState._fields],
    "Judgement": [{"breached": "below", "poll_request": "request"}.get(name, name) for name in Judgement._fields],
    "Signals": [
        {"thrashing_limit_pct": "limit_pct", "breached": "below", "cycle_after_kill": "killed_last"}.get(name, name)
        for name in Signals._fields
    ],
}
NODES: list[Any] = list(ast.walk(ast.parse(inspect.getsource(judge))))


def names_of(node: Any) -> list[str]:
    """Names in a tuple; the one part that is a call makes the next state."""
    return [part.id.lstrip("_") if isinstance(part, ast.Name) else "state" for part in node.elts]


def test_a_tuple_is_taken_apart_in_the_order_of_its_fields() -> None:
    taken = {
        node.value.id: names_of(node.targets[0])
        for node in NODES
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Name)
    }
    assert taken["snapshot"] == LOCALS["Snapshot"]
    assert taken["state"] == LOCALS["PolicyState"]


def test_a_tuple_is_made_in_the_order_of_its_fields() -> None:
    made: list[Any] = [
        node.args for node in NODES if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_new"
    ]
    assert sorted(kind.id for kind, _ in made) == ["Judgement", "PolicyState", "PolicyState", "Signals"]
    for kind, fields in made:
        assert names_of(fields) == LOCALS[kind.id]
