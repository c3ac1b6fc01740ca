"""What the killer polls: one descriptor, what to wait for, what it means."""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

from ...core.vocabulary import ABSENT

LEVEL_FD, EVENTFD, COUNTER_FILE, ANSWERED = 0, 1, 2, 3  # Trigger.drain

_BUFFER = (bytearray(8),)  # one eventfd value; all threads may overwrite it, nobody reads it


class Watch(Protocol):
    """A file whose change must be understood before it is an event."""

    def fired(self) -> int:
        """Level, or ABSENT; re-reading the file makes the descriptor quiet again."""


class Trigger(NamedTuple):
    """One registered pressure event. Poll `fd` for `poll_events`; when it is ready call fired()."""

    name: str  # "psi some", "vmpressure low", "oom_control", ...
    fd: int
    poll_events: int  # POLLPRI or POLLIN
    level: int  # Level it raises
    drain: int  # 0: nothing to read; 1: an eventfd; 2: a counter file to re-read (v2 memory.events); 3: wants an answer
    effective: str  # for the trace header: "psi some 140 ms in 2000 ms (stretched from 70/1000: no CAP_SYS_RESOURCE)"
    extra_fds: tuple[int, ...] = ()  # must stay open as long as the trigger lives
    stretched: int = 0  # 1: a PSI window longer than configured, so it comes late and a StallMeter should help
    watch: Watch | None = None  # for drains 2 and 3


def fired(trigger: Trigger) -> int:
    """Kill path: make the descriptor quiet again; Level, or ABSENT if nothing we watch for happened. Never raises."""
    if trigger.drain == EVENTFD:
        try:
            os.readv(trigger.fd, _BUFFER)
        except OSError:  # EAGAIN: somebody else has drained it
            return ABSENT
    elif trigger.watch is not None:
        return trigger.watch.fired()
    return trigger.level


def close_triggers(triggers: list[Trigger]) -> None:
    """Unregister: close all descriptors. The list is emptied."""
    while triggers:
        trigger = triggers.pop()
        for fd in (trigger.fd, *trigger.extra_fds):
            os.close(fd)
