"""What an armed killer says of itself, where there is too little room for all of it."""

from __future__ import annotations

from lmkd_py.core.notes import Note
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.wire.report import Report, decode_report, encode_report

NOTES = tuple(Note(kind=NoteKind.FILE_LACKING, subject=f"/proc/{number:03}") for number in range(60))


def test_notes_that_have_no_room_are_counted() -> None:
    whole = Report("/sys/fs/cgroup", notes=NOTES)
    most_bytes = len(encode_report(whole, 1 << 20)) // 2
    data = encode_report(whole, most_bytes)
    assert len(data) <= most_bytes
    *kept, last = decode_report(data).notes
    assert tuple(kept) == NOTES[: len(kept)]
    assert last == Note(kind=NoteKind.NOTES_LEFT_OUT, number=len(NOTES) - len(kept))
    assert 10 < len(kept) < 50


def test_where_there_is_room_nothing_is_left_out_or_cut() -> None:
    whole = Report("/sys/fs/cgroup/" + "d" * 300, notes=NOTES)
    data = encode_report(whole, 1 << 20)
    assert decode_report(data) == whole
    assert encode_report(whole, len(data)) == data
