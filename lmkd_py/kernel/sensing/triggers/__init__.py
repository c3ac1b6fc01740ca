"""Pressure events of the kernel, one file each, registered in the tuple below."""

from __future__ import annotations

import os
from errno import ENOMEM

from ....core.config import MonitorConfig
from ....core.notes import Note
from ....core.vocabulary import PolicyKind
from ..domain.base import Domain
from . import oom_control, psi, vmpressure
from .stall import StallMeter
from .trigger import NAMES, Trigger, close_triggers, fired, is_broken, mask_of, names_in

__all__ = [
    "NAMES",
    "StallMeter",
    "Trigger",
    "close_triggers",
    "fired",
    "is_broken",
    "mask_of",
    "names_in",
    "open_triggers",
]

TRIGGERS = (psi, vmpressure, oom_control)


def open_triggers(
    monitor: MonitorConfig, domain: Domain, kind: int = PolicyKind.AOSP_MENDED
) -> tuple[list[Trigger], list[Note]]:
    """Register all that the kernel and our rights allow.

    `kind` AOSP_EXACT: vmpressure only where a trigger of PSI is refused, and then none of PSI, as AOSP does.

    Returns the triggers and a note for each that is missing: a board without any still serves its registrations and
    says so. Raises OSError only for want of memory, which is over in a moment.
    """
    triggers: list[Trigger] = []
    missing: list[Note] = []
    for source in TRIGGERS:
        if kind == PolicyKind.AOSP_EXACT and source is vmpressure:
            if not missing and triggers:
                continue
            close_triggers(triggers)
        if source is vmpressure:
            opened, absent = vmpressure.open_all(monitor, domain, kind)
        else:
            opened, absent = source.open_all(monitor, domain)
        triggers += opened
        missing += absent
    for note in missing:
        if note.errno == ENOMEM:
            close_triggers(triggers)
            raise OSError(ENOMEM, f"{note.subject}: {note.text or os.strerror(ENOMEM)}")
    return triggers, missing
