"""What the killer polls: one descriptor, what to wait for, what it means."""

from __future__ import annotations

from typing import NamedTuple


class Trigger(NamedTuple):
    """One registered pressure event. Poll `fd` for `poll_events`; when it is ready call fired()."""

    name: str  # "psi some", "vmpressure low", "oom_control", ...
    fd: int
    poll_events: int  # POLLPRI or POLLIN
    level: int  # Level it raises
    drain: int  # 0: nothing to read; 1: an eventfd; 2: a counter file that must be re-read (v2 memory.events)
    effective: (
        str  # for the trace header, e.g. "psi some 140 ms in 2000 ms (stretched from 70/1000: no CAP_SYS_RESOURCE)"
    )
    extra_fds: tuple[int, ...] = ()  # must stay open as long as the trigger lives
    stretched: int = 0  # 1: a PSI window longer than configured, so it comes late and a StallMeter should help


def fired(trigger: Trigger) -> int:
    """Kill path: make the descriptor quiet again; Level, or ABSENT if nothing we watch for happened. Never raises."""
    raise NotImplementedError


def close_triggers(triggers: list[Trigger]) -> None:
    """Unregister: close all descriptors."""
    raise NotImplementedError
