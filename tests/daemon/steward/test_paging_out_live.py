"""The real daemon pages out real idle applications, with real swap, while a foreground application grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import NoteKind, PolicyKind
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.kernel.swap import ZramSwap

pytestmark = [pytest.mark.pressure, pytest.mark.alone]
Start = Callable[..., Daemon]
STEADY = PolicyConfig(kind=PolicyKind.STEADY)


def resident_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20


def test_idle_applications_make_room_before_anybody_has_to_die(board: Sandbox, start: Start, tmp_path: Path) -> None:
    with ZramSwap(192):
        cached = [board.start_app(f"cached-{adj}", adj, 24) for adj in (910, 900)]
        perceptible = board.start_app("perceptible", 200, 24)
        daemon = start(board, policy=STEADY, page_out_pct=40)
        before = resident_mib(perceptible.pid)
        board.start_hog(0, 100, limit_mib=110)
        wait_until("the most expendable is paged out", lambda: resident_mib(cached[0].pid) < 12)
        wait_until("it is noted", lambda: NoteKind.PAGED_OUT in [note.kind for note in daemon.status().notes])
        assert resident_mib(perceptible.pid) >= before
        assert daemon.status().kills == 0
        assert all(app.is_alive() for app in cached)
        board.stop_pressure()
        wait_until("the trace says so", lambda: NoteKind.PAGED_OUT in [note.kind for note in Trace(tmp_path).notes])
