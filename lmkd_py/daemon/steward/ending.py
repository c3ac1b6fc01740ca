"""The end of a steward's work: for good, or until what it guards is there again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import shared as layout

if TYPE_CHECKING:
    from .parts import Parts


def finish(steward: Parts) -> None:
    """End the killer and file what is left. Where only the domain is gone clients can still ask."""
    try:
        steward.complete()
        steward.burial.carry_out()
    except (OSError, MemoryError):
        pass  # the next steward finds what is not filed
    steward.kernel_strike.disarm()
    killer = steward.killer
    killer.shared.words[layout.MODE] = layout.STOP
    if killer.outbox is not None:
        killer.outbox.kick()
    killer.wait_end(1.0)
    killer.end()
    steward._take_records()
    steward.journal.file_unrecorded(killer)
    if killer.ring.is_empty() and not steward.journal.trace.late:
        killer.shared.forget()  # else the next steward files the rest
    steward.paging_out.end(steward)
    steward.events.close_source()  # pinned, too: before the last of our pins goes
    steward.strikes.finish(steward.kernel_strike)
    steward.journal.close("" if steward.domain_is_gone else "clean stop")
    if not steward.domain_is_gone:
        steward.control.close()


def let_go(steward: Parts) -> None:
    """Close everything but the control socket: in the same process another steward's work is to begin."""
    steward.candidates.outbox = None
    for pid in list(steward.candidates.processes):
        steward.candidates.remove(pid)
    steward.swaps.close()
    steward.events.close()
    steward.discovery.close()
    steward.domain.close()
    steward.deferred.pool.close()
    steward.killer.close(forget=False)
    for ended in steward.burial.waiting:
        ended.killer.close(forget=False)
    steward.slow.close()
    steward.close()
    os.close(steward.notify_fd)
