"""What the control socket answers: how things stand."""

from __future__ import annotations

import os

from ....core.config import Config
from ....core.notes import Note
from ....core.vocabulary import NoteKind
from ....kernel.sensing.triggers import names_in
from ....wire.control import Reply
from ....wire.record import RECORD_SIZE
from ... import shared as layout
from ...inherited import SHARED_FD
from ..filing.journal import Journal
from ..killers.keeper import Killer
from ..killers.lost_triggers import LostTriggers
from ..killers.vacancy import Vacancy


def status_reply(killer: Killer, journal: Journal, config: Config, generation: int, kills: int, text: str) -> Reply:
    """All that is worth knowing; `text` is what went wrong with the request, if anything did."""
    words = killer.shared.words
    return Reply(
        ok=0 if text else 1,
        text=text,
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
        candidates=len(journal.candidates.processes),
        ring_slots=killer.shared.ring_slots,
        ring_offset=layout.RING_OFFSET,
        record_bytes=RECORD_SIZE,
        trace_path=journal.trace.path,
        triggers=journal.triggers,
        config_hash=journal.config_hash,
        filing=journal.trace.refusal,
        notes=killer.report.notes,
        domain=killer.report.domain,
    )


def with_losses(reply: Reply, lost: LostTriggers, vacancy: Vacancy, notes: list[Note]) -> Reply:
    """The reply, without the triggers that are lost, and not armed where the killer is dead; `notes` are added."""
    told = [*reply.notes, *notes, *lost.notes()]
    if vacancy.pid:
        wait_s = round(vacancy.wait_s())
        told.append(Note(kind=NoteKind.KILLER_DEAD, number=wait_s, subject=f"killer {vacancy.pid}"))
        reply = reply._replace(armed=0, killer_pid=0)
    triggers = lost.armed_among(reply.triggers)
    return reply._replace(lost_triggers=names_in(lost.lost), triggers=triggers, notes=tuple(told))


def waiting_reply(config: Config, digest: str, why: str, text: str) -> Reply:
    """While what is to be guarded is not there: `why` names it; `text` as in status_reply()."""
    return Reply(
        ok=0 if text else 1,
        text=text or f"waiting for the domain: {why}",
        steward_pid=os.getpid(),
        ring_fd=-1,
        observe=config.monitor.observe,
        config_hash=digest,
        waiting=1,
    )
