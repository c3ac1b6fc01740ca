"""The memory cgroup has run out: CRITICAL. v1 by eventfd on memory.oom_control, v2 by a change of memory.events."""

from __future__ import annotations

import os

from ...core.config import DomainKind, MonitorConfig
from ...core.vocabulary import ABSENT, Level
from ..domain.base import Domain
from ..poll import POLLIN, POLLPRI
from ..procfs.counters import Counters
from .event_control import register
from .trigger import COUNTER_FILE, EVENTFD, Trigger

NAME = "oom"
V1 = "oom_control"  # name of its trigger on v1


class OomEvents:
    """memory.events changes for high and max too; only a moved `oom` is an event."""

    def __init__(self, path: str) -> None:
        self.counters = Counters(path, (b"oom",), (b"oom",))
        self._last = self.counters.values[0]

    def fired(self) -> int:
        """CRITICAL if `oom` moved since the last call, else ABSENT."""
        self.counters.read()
        now = self.counters.values[0]
        if now in (ABSENT, self._last):
            return ABSENT
        self._last = now
        return int(Level.CRITICAL)


def open_all(monitor: MonitorConfig, domain: Domain) -> tuple[list[Trigger], list[str]]:
    """One trigger for a memory cgroup; the whole system has no such event."""
    critical = int(Level.CRITICAL)
    try:
        if domain.kind == DomainKind.MEMCG_V1:
            event, target = register(domain.pressure_dir, "memory.oom_control")
            return [Trigger(V1, event, POLLIN, critical, EVENTFD, "oom_control", (target,))], []
        if domain.kind == DomainKind.CGROUP_V2:
            watch = OomEvents(domain.events_path)
            fd = watch.counters.file.fd
            return [Trigger("oom events", fd, POLLPRI, critical, COUNTER_FILE, "memory.events oom", watch=watch)], []
    except (OSError, ValueError) as failure:
        return [], [f"oom: {failure}"]
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
