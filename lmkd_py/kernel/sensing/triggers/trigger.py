"""What the killer polls: one descriptor, what to wait for, what it means."""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

from ....core.notes import ArmedTrigger
from ....core.vocabulary import ABSENT
from ...acting.poll import POLLERR, POLLNVAL

LEVEL_FD, EVENTFD, COUNTER_FILE, ANSWERED = 0, 1, 2, 3  # Trigger.drain

# Every trigger there is; its index is its bit. A new one goes to the end: notes in traces have these numbers.
NAMES = (
    "psi some", "psi full", "vmpressure low", "vmpressure medium", "vmpressure critical", "oom_control", "oom events",
    "bpf kick",
)  # fmt: skip

_BUFFER = (bytearray(8),)  # one eventfd value; all threads may overwrite it, nobody reads it


class Watch(Protocol):
    """A file whose change must be understood before it is an event."""

    gone: int  # 1: the last read failed, as the file's cgroup was removed

    def fired(self) -> int:
        """Level, or ABSENT; re-reading the file makes the descriptor quiet again."""


class Trigger(NamedTuple):
    """One registered pressure event. Poll `fd` for `poll_events`; when it is ready call fired()."""

    name: str  # "psi some", "vmpressure low", "oom_control", ...
    fd: int
    poll_events: int  # POLLPRI or POLLIN
    level: int  # Level it raises
    drain: int  # 0: nothing to read; 1: an eventfd; 2: a counter file to re-read (v2 memory.events); 3: wants an answer
    settings: str  # as they are in effect: "140 ms in 2000 ms (stretched from 70/1000: no CAP_SYS_RESOURCE)"
    extra_fds: tuple[int, ...] = ()  # must stay open as long as the trigger lives
    stretched: int = 0  # 1: a PSI window longer than configured, so it comes late and a StallMeter should help
    watch: Watch | None = None  # for drains 2 and 3
    stall_us: int = 0  # PSI: the threshold as it is registered; 0: no trigger of PSI, so its events need no proof
    window_ms: int = 0  # PSI: its window

    @property
    def effective(self) -> ArmedTrigger:
        """For the trace header and people."""
        return ArmedTrigger(self.name, self.settings)


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


def is_broken(trigger: Trigger, revents: int) -> bool:
    """Kill path: whether it will never fire again, by what poll() reported; of a counter file after fired().

    The kernel takes a PSI trigger away with its file (cgroup.pressure 0, or the cgroup removed) and says POLLERR. Of a
    counter file it says POLLERR with every change (kernfs_generic_poll), so there only a failed read tells.
    """
    if trigger.drain == COUNTER_FILE and trigger.watch is not None:
        return trigger.watch.gone != 0
    return revents & (POLLERR | POLLNVAL) != 0


def mask_of(triggers: list[Trigger]) -> int:
    """A bit for each, as NAMES has them; a trigger of another name has none."""
    return sum(1 << NAMES.index(trigger.name) for trigger in triggers if trigger.name in NAMES)


def names_in(mask: int) -> tuple[str, ...]:
    """The names behind the bits."""
    return tuple(name for bit, name in enumerate(NAMES) if mask >> bit & 1)


def close_triggers(triggers: list[Trigger]) -> None:
    """Unregister: close all descriptors. The list is emptied."""
    while triggers:
        trigger = triggers.pop()
        for fd in (trigger.fd, *trigger.extra_fds):
            os.close(fd)
