"""What a killer says of itself before it is live: one message in the memory it shares with the steward."""

from __future__ import annotations

from typing import NamedTuple

from ..core.notes import ArmedTrigger, Note
from ..core.vocabulary import NoteKind
from .message import Message

_CLIPS = (200, 60)  # characters a string, where the whole has no room: the path of a cgroup may have 4,096


class Report(NamedTuple):
    """Of an armed killer what it guards and how; of one that could not be armed `failure` alone."""

    domain: str = ""
    triggers: tuple[ArmedTrigger, ...] = ()  # as they are in effect; Record.trigger is an index into them
    notes: tuple[Note, ...] = ()
    failure: str = ""  # one line for people


_REPORT = Message(Report, triggers=ArmedTrigger, notes=Note)


def encode_report(report: Report, most_bytes: int) -> bytes:
    """The report in at most so many bytes: long strings are cut first, then notes are left out and counted."""
    data = _REPORT.encode(report)
    for characters in _CLIPS:
        if len(data) > most_bytes:
            report = _clipped(report, characters)
            data = _REPORT.encode(report)
    notes, left_out = report.notes, 0
    while len(data) > most_bytes and notes:
        notes, left_out = notes[:-1], left_out + 1
        last = Note(kind=NoteKind.NOTES_LEFT_OUT, number=left_out)
        data = _REPORT.encode(report._replace(notes=(*notes, last)))
    return data


def decode_report(data: bytes) -> Report:
    """Raises MessageError."""
    report: Report = _REPORT.decode(data)
    return report


def _clipped(report: Report, most: int) -> Report:
    notes = tuple(note._replace(text=note.text[:most], subject=note.subject[:most]) for note in report.notes)
    triggers = tuple(ArmedTrigger(each.name[:most], each.settings[:most]) for each in report.triggers)
    return Report(report.domain[:most], triggers, notes, report.failure[:most])
