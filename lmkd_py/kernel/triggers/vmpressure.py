"""vmpressure low, medium and critical of a v1 memory cgroup: eventfds, POLLIN. A level's eventfd also gets all higher
levels' events."""

from __future__ import annotations

import errno

from ...core.config import MonitorConfig
from ...core.vocabulary import Level
from ..domain.base import Domain
from ..poll import POLLIN
from .event_control import register
from .trigger import EVENTFD, Trigger

NAME = "vmpressure"
_LEVELS = ((Level.LOW, "low"), (Level.MEDIUM, "medium"), (Level.CRITICAL, "critical"))


def _open(directory: str, level: int, word: str) -> Trigger:
    mode = ",hierarchy"
    try:
        # Without "hierarchy" (Linux 4.13) an event of a child cgroup that has a listener of its own never reaches us.
        event, target = register(directory, "memory.pressure_level", word + mode)
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
        mode = ""
        event, target = register(directory, "memory.pressure_level", word)
    return Trigger(f"vmpressure {word}", event, POLLIN, level, EVENTFD, f"vmpressure {word}{mode}", (target,))


def open_all(monitor: MonitorConfig, domain: Domain) -> tuple[list[Trigger], list[str]]:
    """The three levels where they are configured and there is a v1 memory cgroup."""
    triggers: list[Trigger] = []
    missing: list[str] = []
    if not monitor.vmpressure:
        return triggers, missing
    if not domain.pressure_dir:
        return triggers, ["vmpressure: the domain has no v1 memory cgroup"]
    for level, word in _LEVELS:
        try:
            triggers.append(_open(domain.pressure_dir, int(level), word))
        except OSError as failure:
            missing.append(f"vmpressure {word}: {failure}")
    return triggers, missing
