"""Every kind of note has a sentence, whatever its fields hold; a killer's report has room in its page."""

from __future__ import annotations

import errno

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lmkd_py.core.notes import ArmedTrigger, Note
from lmkd_py.core.vocabulary import HOLDING, LACKING, OFF_BY_CONFIG, NoteKind
from lmkd_py.daemon.shared import REPORT_BYTES
from lmkd_py.wire import sentences
from lmkd_py.wire.report import Report, decode_report, encode_report
from lmkd_py.wire.sentences import absence, line, reason, sentence
from tests.wire.values import INT64, TEXTS

KINDS = sorted(value for name, value in vars(NoteKind).items() if name.isupper())
TRIGGERS = st.builds(ArmedTrigger, TEXTS, TEXTS)
NOTES = st.builds(Note, INT64, st.sampled_from(KINDS) | TEXTS, TEXTS, INT64, INT64, INT64 | st.integers(0, 200), TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_sentence_that_says_why(kind: str) -> None:
    told = sentence(Note(kind=kind, text="the text", number=7, errno=errno.EACCES, subject="what"))
    assert told
    assert "\n" not in told
    assert kind in sentences._SENTENCES, "there its fields alone are told"
    if kind.endswith("-refused"):
        assert "the text" in told
        assert "Permission denied" in sentence(Note(kind=kind, errno=errno.EACCES))


@given(NOTES)
@example(Note(kind=NoteKind.POOL_REFUSED, errno=2**40))
@example(Note(kind=NoteKind.POOL_REFUSED, errno=-(2**63)))
def test_whatever_a_note_holds_it_becomes_one_line(note: Note) -> None:
    assert line(note) == f"{'missing' if note.kind in LACKING else 'note'} {sentence(note)}"
    assert reason(note._replace(text="foreign words")) == "foreign words"


def test_a_kind_of_a_newer_daemon_is_told_by_its_fields() -> None:
    assert sentence(Note(kind="newer", text="in words")) == "in words"
    assert (
        sentence(Note(kind="newer", number=3, errno=errno.EPERM, subject="x")) == "newer: x: 3: Operation not permitted"
    )


def test_a_kind_either_holds_or_lacks_something() -> None:
    assert not set(HOLDING) & set(LACKING)
    assert set(HOLDING) | set(LACKING) <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_off_by_the_configuration_only_where_a_note_of_that_kind_says_so(kind: str) -> None:
    note = Note(kind=kind, text="because", subject="it", errno=errno.EPERM)
    why = "" if kind in HOLDING else f": {sentence(note)}"
    assert absence([note]) == ("off (config)" if kind in OFF_BY_CONFIG else "not active") + why
    assert absence([]) == "not active"


@given(
    st.builds(Report, TEXTS, st.lists(TRIGGERS, max_size=9).map(tuple), st.lists(NOTES, max_size=40).map(tuple), TEXTS)
)
def test_a_report_comes_through_whole_or_says_how_many_notes_it_lost(report: Report) -> None:
    data = encode_report(report, REPORT_BYTES)
    assert len(data) <= REPORT_BYTES
    found = decode_report(data)
    assert len(found.triggers) == len(report.triggers), "their numbers are in the records"
    if found != report:
        lost = found.notes[-1].number if found.notes and found.notes[-1].kind == NoteKind.NOTES_LEFT_OUT else 0
        assert len(found.notes) - bool(lost) + lost == len(report.notes)


def test_long_paths_are_cut_before_notes_are_left_out() -> None:
    path = "/sys/fs/cgroup/" + "x" * 3000
    notes = tuple(Note(kind=NoteKind.FILE_LACKING, errno=errno.EACCES, subject=path) for _ in range(3))
    report = Report(
        f"v2 cgroup {path}", tuple(ArmedTrigger(f"psi {kind}", f"on {path}") for kind in ("some", "full")), notes
    )
    found = decode_report(encode_report(report, REPORT_BYTES))
    assert [note.errno for note in found.notes] == [errno.EACCES] * 3
    assert all(path.startswith(note.subject) and len(note.subject) == 200 for note in found.notes)
