"""A kill tells of the idle processes that were paged out around it, as the daemon noted."""

from __future__ import annotations

from pathlib import Path

from lmkd_py.analysis.contents import AROUND_MS
from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.trace import read_trace
from lmkd_py.cli import story
from lmkd_py.core.config import Config
from lmkd_py.core.snapshot import Candidate
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.wire.header import Note
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write


def test_a_kill_tells_what_was_paged_out_around_it(tmp_path: Path) -> None:
    killer = PaperKiller(Config())
    killer.candidates = (Candidate(71, 10_071, 950, 500, 5, 1),)
    record = killer.wakeup(300_000, **{**LOW_MEM, "kswapd_progress": 150})
    notes = [
        Note((record.snapshot.now_ms + at_ms) * 1_000_000, NoteKind.PAGED_OUT, f"{mib} MiB advised", mib)
        for at_ms, mib in ((-AROUND_MS - 1, 1), (-2500, 2), (1500, 3), (AROUND_MS + 1, 4))
    ]
    path = tmp_path / "0001.lmkt"
    write(path, header(killer.config), record, *notes)
    text = " ".join("\n".join(story.full(1, 1, explain(read_trace(path), 1))).split())
    assert "2.5 s before: idle processes paged out: 2; 2 MiB advised" in text
    assert "1.5 s after: idle processes paged out: 3; 3 MiB advised" in text
    assert "1 MiB advised" not in text
    assert "4 MiB advised" not in text
