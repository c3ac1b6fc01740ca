"""vmpressure low, medium and critical of a v1 memory cgroup: eventfds, POLLIN. A level's eventfd also gets all higher
levels' events."""

from __future__ import annotations

import errno

from ....core.config import DomainKind, MonitorConfig
from ....core.notes import Note
from ....core.vocabulary import Level, NoteKind, PolicyKind
from ...acting.poll import POLLIN
from ...acting.refused import refused
from ..domain.base import Domain
from .event_control import register
from .trigger import EVENTFD, Trigger

NAME = "vmpressure"
_LEVELS = ((Level.LOW, "low"), (Level.MEDIUM, "medium"), (Level.CRITICAL, "critical"))


def _open(directory: str, mode: str, level: int, word: str) -> Trigger:
    try:
        event, target = register(directory, "memory.pressure_level", f"{word},{mode}")
        settings = f"{mode} on {directory}"
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
        event, target = register(directory, "memory.pressure_level", word)  # modes came with Linux 4.13
        settings = f"on {directory}"
    if word == "critical" and level < Level.CRITICAL:
        settings += " (counts as medium: PSI tells of stalls)"
    return Trigger(f"{NAME} {word}", event, POLLIN, level, EVENTFD, settings, (target,))


def open_all(
    monitor: MonitorConfig, domain: Domain, kind: int = PolicyKind.AOSP_MENDED
) -> tuple[list[Trigger], list[Note]]:
    """The three levels where they are configured and there is a v1 memory cgroup."""
    triggers: list[Trigger] = []
    missing: list[Note] = []
    if not monitor.triggers.vmpressure:
        return triggers, missing
    if not domain.pressure_dir:
        return triggers, [Note(kind=NoteKind.V1_CGROUP_ABSENT, subject=NAME)]
    # hierarchy: without it an event of a child cgroup that has a listener of its own never reaches us.
    # local: at the root it means reclaim of the whole system only. Else a container at its own limit wakes us all day
    # (measured on a board: 80 events a second against 0; whole-system pressure came in both modes).
    mode = "local" if domain.kind == DomainKind.SYSTEM else "hierarchy"
    # "Critical" says that reclaim scans much and gets little, which is usual where there is hardly any file cache. It
    # is no stall, and PSI tells of those. To AOSP, which has either the one or the other, it is CRITICAL.
    highest = Level.MEDIUM if domain.psi_memory_path and kind != PolicyKind.AOSP_EXACT else Level.CRITICAL
    for level, word in _LEVELS:
        try:
            triggers.append(_open(domain.pressure_dir, mode, int(min(level, highest)), word))
        except OSError as failure:
            missing.append(refused(NoteKind.TRIGGER_REFUSED, failure, subject=f"{NAME} {word}"))
    return triggers, missing
