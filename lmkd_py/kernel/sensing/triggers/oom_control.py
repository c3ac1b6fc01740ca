"""The memory cgroup has run out: CRITICAL. v1 by eventfd on memory.oom_control, v2 by a change of memory.events."""

from __future__ import annotations

import os

from ....core.config import DomainKind, MonitorConfig
from ....core.notes import Note
from ....core.numbers import CRITICAL_LEVEL
from ....core.vocabulary import ABSENT, NoteKind
from ...acting.poll import POLLIN, POLLPRI
from ...acting.refused import refused
from ..domain.base import Domain
from ..procfs.table import Row, Table
from .event_control import register
from .trigger import COUNTER_FILE, EVENTFD, Trigger

NAME = "oom"
V1 = "oom_control"  # name of its trigger on v1


class OomEvents:
    """memory.events changes for high and max too; only a moved `oom` is an event."""

    def __init__(self, path: str) -> None:
        self.table = Table((ABSENT,), ("oom",))
        self.fd = self.table.pin(path, (Row(b"\noom ", "oom", required=1),)).fd
        (self._last,) = self.table.read()
        self.gone = 0

    def fired(self) -> int:
        """CRITICAL if `oom` moved since the last call, else ABSENT."""
        (now,) = self.table.read()
        self.gone = 1 if self.table.error else 0
        if now in (ABSENT, self._last):
            return ABSENT
        self._last = now
        return CRITICAL_LEVEL


def open_all(monitor: MonitorConfig, domain: Domain) -> tuple[list[Trigger], list[Note]]:
    """One trigger for a memory cgroup; the whole system has no such event."""
    try:
        if domain.kind == DomainKind.MEMCG_V1:
            event, target = register(domain.pressure_dir, "memory.oom_control")
            return [Trigger(V1, event, POLLIN, CRITICAL_LEVEL, EVENTFD, f"on {domain.pressure_dir}", (target,))], []
        if domain.kind == DomainKind.CGROUP_V2:
            watch = OomEvents(domain.events_path)
            return [
                Trigger("oom events", watch.fd, POLLPRI, CRITICAL_LEVEL, COUNTER_FILE, "memory.events oom", watch=watch)
            ], []
    except (OSError, ValueError) as failure:
        return [], [refused(NoteKind.TRIGGER_REFUSED, failure, subject=NAME)]
    return [], []


_TEXT = bytearray(128)
_INTO = (_TEXT,)


def hangs(trigger: Trigger) -> bool:
    """Kill path: whether tasks of a v1 memcg wait in vain right now, kernel OOM killing being off; its own trigger."""
    try:
        end = os.preadv(trigger.extra_fds[0], _INTO, 0)
    except OSError:
        return False
    return _TEXT.find(b"under_oom 1", 0, end) >= 0
