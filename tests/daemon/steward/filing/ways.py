"""How tests of filing bring records into the ring and have them filed."""

from __future__ import annotations

from lmkd_py.core.snapshot import Candidate
from lmkd_py.wire.record import Record
from tests.daemon.rig import Rig

NOBODY = 4_300_000  # a pid that no process has: the kernel's own limit is 2^22


def with_rows(record: Record) -> Record:
    """The record with three candidates of which nothing is known."""
    rows = tuple(Candidate(NOBODY + row, 77, 900, -1, 10, row) for row in range(3))
    return record._replace(snapshot=record.snapshot._replace(candidates=rows))


def file(rig: Rig, *records: Record) -> None:
    """All of them in one look of the steward."""
    for record in records:
        rig.ring._publish(record._replace(seq=rig.ring.seq))
    rig.steward.journal.file_records(rig.killer)
