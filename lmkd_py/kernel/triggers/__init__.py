"""Pressure events of the kernel, one file each, registered in the tuple below."""

from __future__ import annotations

import errno
import os

from ...core.config import MonitorConfig
from ..domain.base import Domain
from . import oom_control, psi, vmpressure
from .stall import StallMeter
from .trigger import Trigger, close_triggers, fired

__all__ = ["StallMeter", "Trigger", "close_triggers", "fired", "open_triggers"]

TRIGGERS = (psi, vmpressure, oom_control)


def open_triggers(monitor: MonitorConfig, domain: Domain) -> tuple[list[Trigger], list[str]]:
    """Register all that the kernel and our rights allow.

    Returns the triggers and one line for each that is missing, with the reason ("psi some: ..."): a board without any
    still serves its registrations and says so. Raises OSError only for want of memory, which is over in a moment.
    """
    triggers: list[Trigger] = []
    missing: list[str] = []
    for source in TRIGGERS:
        opened, absent = source.open_all(monitor, domain)
        triggers += opened
        missing += absent
    if os.strerror(errno.ENOMEM) in (said := "; ".join(missing)):  # the reasons are words by now
        close_triggers(triggers)
        raise OSError(errno.ENOMEM, said)
    return triggers, missing
