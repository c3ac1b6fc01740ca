"""vmpressure low, medium and critical of a v1 memory cgroup: eventfds, POLLIN. A level's eventfd also gets all higher
levels' events."""

from __future__ import annotations

import errno

from ...core.config import DomainKind, MonitorConfig
from ...core.vocabulary import Level
from ..domain.base import Domain
from ..poll import POLLIN
from .event_control import register
from .trigger import EVENTFD, Trigger

NAME = "vmpressure"
_LEVELS = ((Level.LOW, "low"), (Level.MEDIUM, "medium"), (Level.CRITICAL, "critical"))


def _open(directory: str, mode: str, level: int, word: str) -> Trigger:
    try:
        event, target = register(directory, "memory.pressure_level", f"{word},{mode}")
        effective = f"vmpressure {word},{mode}"
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
        event, target = register(directory, "memory.pressure_level", word)  # modes came with Linux 4.13
        effective = f"vmpressure {word}"
    return Trigger(f"vmpressure {word}", event, POLLIN, level, EVENTFD, effective, (target,))


def open_all(monitor: MonitorConfig, domain: Domain) -> tuple[list[Trigger], list[str]]:
    """The three levels where they are configured and there is a v1 memory cgroup."""
    triggers: list[Trigger] = []
    missing: list[str] = []
    if not monitor.vmpressure:
        return triggers, missing
    if not domain.pressure_dir:
        return triggers, ["vmpressure: the domain has no v1 memory cgroup"]
    # hierarchy: without it an event of a child cgroup that has a listener of its own never reaches us.
    # local: at the root it means reclaim of the whole system only. Else a container at its own limit wakes us all day
    # (measured on a board: 80 events a second against 0; whole-system pressure came in both modes).
    mode = "local" if domain.kind == DomainKind.SYSTEM else "hierarchy"
    for level, word in _LEVELS:
        try:
            triggers.append(_open(domain.pressure_dir, mode, int(level), word))
        except OSError as failure:
            missing.append(f"vmpressure {word}: {failure}")
    return triggers, missing
