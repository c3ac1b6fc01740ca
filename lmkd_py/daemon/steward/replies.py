"""What the control socket answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...wire.control import Reply, Request, Verb
from ...wire.record import RECORD_SIZE
from .. import shared as layout
from ..inherited import SHARED_FD

if TYPE_CHECKING:
    from .service import Service


def answer(service: Service, request: Request) -> Reply:
    """Carry out one request; the reply always says how things stand."""
    text = ""
    if request.verb == Verb.STOP:
        service.stopping = True
    elif request.verb == Verb.RELOAD:
        text = service.reload()
    elif request.verb != Verb.STATUS:
        text = f"found verb {request.verb}, wanted STATUS, RELOAD or STOP"
    return status_reply(service, text)


def status_reply(service: Service, text: str) -> Reply:
    """How things stand; `text` is what went wrong, if anything did."""
    words = service.killer.shared.words
    return Reply(
        ok=0 if text else 1,
        text=text or "\n".join(service.killer.text()),
        steward_pid=os.getpid(),
        killer_pid=service.killer.pid,
        ring_fd=SHARED_FD,
        armed=1 if words[layout.STATE] == layout.ARMED and words[layout.MODE] == layout.LIVE else 0,
        observe=service.config.monitor.observe,
        layers=words[layout.LAYERS],
        config_generation=service.generation,
        kills=service.kills,
        records=service.journal.trace.records,
        lost=service.journal.lost,
        candidates=len(service.registry.processes),
        ring_slots=service.killer.shared.ring_slots,
        ring_offset=layout.RING_OFFSET,
        record_bytes=RECORD_SIZE,
        trace_path=service.journal.trace.path,
        triggers=service.journal.triggers,
        config_hash=service.journal.config_hash,
    )
