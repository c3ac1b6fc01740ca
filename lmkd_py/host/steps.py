"""Work on a device as a list of named steps. Each may be cut off at any point and done again from the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Watch = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One step: a name for people and tests, and what it does with the state of the whole."""

    name: str
    work: Callable[[T], None]


def run_steps(steps: Sequence[Step[T]], state: T, watch: Watch | None = None) -> T:
    """One after the other; `watch` hears each name before it begins."""
    for step in steps:
        if watch is not None:
            watch(step.name)
        step.work(state)
    return state
