"""The outside observer: what the kernel says about kills, told by a process that has no part in them.

    with Observer(pids=[killer_pid]) as o:
        ...
    assert o.lost == 0
    o.kills(); o.exits(); o.wakings(); o.oom_victims()

As a program: `python -m tools.observer --seconds 10` prints one line an event.
"""

from tools.observer.observer import (
    DEFAULT_EVENTS,
    EXIT,
    KILL,
    OOM_VICTIM,
    SI_KERNEL,
    WAKING,
    Event,
    Exit,
    Kill,
    Observer,
    Waking,
)

__all__ = [
    "DEFAULT_EVENTS",
    "EXIT",
    "KILL",
    "OOM_VICTIM",
    "SI_KERNEL",
    "WAKING",
    "Event",
    "Exit",
    "Kill",
    "Observer",
    "Waking",
]
