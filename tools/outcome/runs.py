"""Cells and runs: which there are to do, which are in the file already. One run is one line of JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A workload under a killer on a board of a profile."""

    workload: str
    killer: str
    profile: str

    def __str__(self) -> str:
        return ":".join(self)


def cells(
    patterns: Iterable[str], workloads: Iterable[str], killers: Iterable[str], profiles: Sequence[str]
) -> list[Cell]:
    """Those that one of the patterns `workload:killer:profile` names; `*` stands for any.

    Without a profile it is the first one. ValueError for a pattern that names nothing.
    """
    every = [Cell(*words) for words in product(workloads, killers, profiles)]
    found: dict[Cell, None] = {}
    for pattern in patterns:
        wanted = (*pattern.split(":"), profiles[0])[:3] if pattern.count(":") == 1 else tuple(pattern.split(":"))
        named = [cell for cell in every if len(wanted) == 3 and all(map(fnmatchcase, cell, wanted))]
        if not named:
            raise ValueError(f"{pattern!r} names no cell; wanted workload:killer:profile, each a name or *")
        found.update(dict.fromkeys(named))
    return list(found)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of the file; a torn last one reads as never written."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]


def append(path: Path, run: dict[str, Any]) -> None:
    """Add a run, behind the last whole line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.write(json.dumps(run).encode() + b"\n")


def cell_of(run: dict[str, Any]) -> Cell:
    """Whose run it is."""
    return Cell(run["workload"], run["killer"], run["profile"])


def to_do(wanted: Sequence[Cell], runs: int, done: Iterable[dict[str, Any]], seed: int) -> list[tuple[Cell, int]]:
    """What is left, profile by profile, in turns: each cell once, in random order, before any of them again.

    A run that came to nothing is tried again; its line stays.
    """
    there = {(cell_of(run), run["run"]) for run in done if "failed" not in run}
    found = []
    for profile in dict.fromkeys(cell.profile for cell in wanted):
        for number in range(1, runs + 1):
            turn = [cell for cell in wanted if cell.profile == profile]
            random.Random(f"{seed} {profile} {number}").shuffle(turn)
            found += [(cell, number) for cell in turn if (cell, number) not in there]
    return found
