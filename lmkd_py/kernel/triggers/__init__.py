"""Pressure events of the kernel, one file each, registered in the tuple below."""

from __future__ import annotations

from ...core.config import MonitorConfig
from ..domain.base import Domain
from .stall import StallMeter
from .trigger import Trigger, close_triggers, fired

__all__ = ["StallMeter", "Trigger", "close_triggers", "fired", "open_triggers"]


def open_triggers(monitor: MonitorConfig, domain: Domain) -> tuple[list[Trigger], list[str]]:
    """Register all that the kernel and our rights allow.

    Returns the triggers and one line for each that is missing, with the reason ("psi some: ..."). Never raises:
    a board without any still serves its registrations and says so.
    """
    raise NotImplementedError
