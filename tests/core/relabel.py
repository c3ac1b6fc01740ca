"""The same scenario told with other process numbers and another page size: the decisions have to be the same."""

from __future__ import annotations

import copy
import re
from typing import Any


def relabelled(case: dict[str, Any], page_kb: int) -> dict[str, Any]:
    """The scenario with its ids in reverse order (so pids and uids too) and every quantity in kB scaled."""
    scale = page_kb // case["page_kb"]
    case = copy.deepcopy(case)
    case["page_kb"] = page_kb
    case["procs"] = [_process(process, scale) for process in case["procs"]]
    for place in (case["init"], *case["steps"]):
        place["mi"] = {name: kb * scale for name, kb in place.get("mi", {}).items()}
    for place in (case, *case["steps"]):
        if "cfg" in place:
            place["cfg"]["filecache_min_kb"] *= scale
    for step in case["steps"]:
        step["proc"] = [_operation(operation, scale) for operation in step.get("proc", ())]
    for entry in case["evals"]:
        entry["scan"] = [_number(number) for number in entry.get("scan", ())]
        for kill in entry.get("kills", ()):
            kill["id"] = _number(kill["id"])
            kill["desc"] = re.sub(r"(\d+)kB", lambda found: f"{int(found[1]) * scale}kB", kill["desc"])
            for name in ("rss_kb", "swap_kb", "free_swap_kb"):
                kill[name] *= scale
    return case


def _number(number: int) -> int:
    return 1000 - number * 7


def _process(process: list[Any], scale: int) -> list[Any]:
    number, adj, rss_kb, swap_kb, *rest = process
    return [_number(number), adj, rss_kb * scale, swap_kb * scale, *rest]


def _operation(operation: list[Any], scale: int) -> list[Any]:
    name, number, *rest = operation
    if name == "new":
        return [name, *_process([number, *rest], scale)]
    if name == "mem":
        return [name, _number(number), rest[0] * scale, rest[1] * scale]
    return [name, _number(number), *rest]
