"""What the control socket answers: how things stand."""

from __future__ import annotations

import os

from ...core.config import Config
from ...wire.control import Reply
from ...wire.record import RECORD_SIZE
from .. import shared as layout
from ..inherited import SHARED_FD
from .journal import Journal
from .keeper import Killer


def status_reply(killer: Killer, journal: Journal, config: Config, generation: int, kills: int, text: str) -> Reply:
    """All that is worth knowing; `text` is what went wrong with the request, if anything did."""
    words = killer.shared.words
    return Reply(
        ok=0 if text else 1,
        text=text or "\n".join(killer.text()),
        steward_pid=os.getpid(),
        killer_pid=killer.pid,
        ring_fd=SHARED_FD,
        armed=1 if words[layout.STATE] == layout.ARMED and words[layout.MODE] == layout.LIVE else 0,
        observe=config.monitor.observe,
        layers=words[layout.LAYERS],
        config_generation=generation,
        kills=kills,
        records=journal.trace.records,
        lost=journal.lost,
        candidates=len(journal.registry.processes),
        ring_slots=killer.shared.ring_slots,
        ring_offset=layout.RING_OFFSET,
        record_bytes=RECORD_SIZE,
        trace_path=journal.trace.path,
        triggers=journal.triggers,
        config_hash=journal.config_hash,
    )
