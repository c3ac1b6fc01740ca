"""A kill in the kernel stands in the trace once, whichever steward files it and whenever that one dies."""

from __future__ import annotations

import errno
import mmap
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.daemon.steward.candidates.candidates import Candidates
from lmkd_py.daemon.steward.filing.journal import Journal
from lmkd_py.daemon.steward.filing.kernel_log import Filing
from lmkd_py.daemon.steward.filing.strike_filing import StrikeFiling
from lmkd_py.kernel.bpf import layout
from lmkd_py.kernel.bpf.pins import obj_get
from lmkd_py.wire.frames import STRIKE, Lost, read_frames
from lmkd_py.wire.header import Strike, decode_strike
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.daemon.strike_tools import SPARE_ALL, crowd, freeze, layer_of, loads_of, pins_of, thaw, words_of
from tests.support import require

Start = Callable[..., Daemon]


def filed(root: Path) -> list[Strike]:
    """Every strike frame of a root's traces, duplicates included."""
    found = []
    for path in sorted(root.glob("traces/*/*.lmkt")):
        for frame in read_frames(path.read_bytes()):
            if not isinstance(frame, Lost) and frame.kind == STRIKE:
                found.append(decode_strike(frame.payload))
    return found


def forget_filed(root: Path) -> None:
    """As if the steward had been killed between filing and saying so."""
    (pins,) = loads_of(root)
    fd = obj_get(str(pins / "guard"))
    with mmap.mmap(fd, layout.WORDS_BYTES) as area, memoryview(area) as view:
        os.close(fd)
        with view.cast("Q") as words:
            words[layout.FILED] = 0


@pytest.mark.pressure
@pytest.mark.slow
def test_what_one_steward_filed_no_successor_files_again(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = crowd(board, 20)
    daemon = start(board, strike={"gap_ms": 50}, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    freeze(daemon)
    with words_of(daemon) as words:
        board.start_thrashers(2)
        wait_until("the kernel has struck", lambda: words[layout.STRIKES] >= 3)
        board.stop_pressure()
        thaw(daemon)
        struck = words[layout.STRIKES]
        wait_until("they are filed", lambda: words[layout.FILED] == struck)
        assert len(filed(tmp_path)) == struck
    board.write_root(str(tmp_path), Config(SPARE_ALL, board.monitor_config(strike={"gap_ms": 60})))
    daemon.process.send_signal(signal.SIGHUP)  # another program takes the place of the one that struck
    wait_until("it is reloaded", lambda: daemon.status().config_generation == 2)
    assert len(filed(tmp_path)) == struck
    daemon.killer_pid = daemon.status().killer_pid
    daemon.kill()
    os.kill(daemon.killer_pid, signal.SIGKILL)

    later = Daemon(tmp_path)
    try:
        assert later.status().kills == 0
        later.kill()
    finally:
        later.end()
    last = Daemon(tmp_path)
    assert last.stop() == 0
    assert pins_of(tmp_path) == []
    assert [each.pid for each in filed(tmp_path)] == [app.pid for app in apps[:struck]]
    assert all(each.killer_pid for each in filed(tmp_path))


@pytest.mark.pressure
@pytest.mark.slow
def test_what_a_dead_steward_filed_and_did_not_mark_is_found_in_its_file(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    apps = crowd(board, 20)
    daemon = start(board, strike={"gap_ms": 50}, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    freeze(daemon)
    with words_of(daemon) as words:
        board.start_thrashers(2)
        wait_until("the kernel has struck", lambda: words[layout.STRIKES] >= 3)
        board.stop_pressure()
        thaw(daemon)
        struck = words[layout.STRIKES]
        wait_until("they are filed", lambda: words[layout.FILED] == struck)
    daemon.kill()
    os.kill(daemon.killer_pid, signal.SIGKILL)
    forget_filed(tmp_path)
    later = Daemon(tmp_path)
    assert later.status().kills == 0
    assert later.stop() == 0
    assert [each.pid for each in filed(tmp_path)] == [app.pid for app in apps[:struck]]


# -- on paper: the maps of a program in ordinary memory --------------------------------------------------------------


class PaperLog:
    """The words and the log of a program that strikes when told."""

    def __init__(self) -> None:
        self.words = memoryview(bytearray(layout.WORDS_BYTES)).cast("Q")
        self.log = mmap.mmap(-1, layout.LOG_BYTES)
        self.removed = False

    def strike(self, count: int) -> None:
        for _ in range(count):
            number = self.words[layout.STRIKES]
            row = (1000 + number, 900 + number, 4000 + number, 950, 7, 30)
            layout.LOG_ROW.pack_into(self.log, number % layout.LOG_ROWS * layout.LOG_ROW.size, *row)
            self.words[layout.STRIKES] = number + 1

    def filing(self) -> Filing:
        return Filing(self.words, self.log, 77, self.remove)

    def remove(self) -> None:
        self.removed = True


@contextmanager
def journal_on(root: Path) -> Iterator[Journal]:
    candidates = Candidates(16, 8)
    journal = Journal(str(root), candidates)
    journal.trace.begin(b"")
    yield journal
    journal.close()
    candidates.deaths.close()


def refuse(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_strikes_wait_in_the_kernel_until_the_disk_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = PaperLog()
    with journal_on(tmp_path) as journal:
        filing = paper.filing()
        paper.strike(2)
        assert filing.file(journal, set())
        assert paper.words[layout.FILED] == 2
        with monkeypatch.context() as full:
            full.setattr(os, "write", refuse)
            paper.strike(3)
            assert not filing.file(journal, set())
            assert paper.words[layout.FILED] == 2
        journal.trace._retry_at = 0.0
        journal.trace.catch_up()
        assert filing.file(journal, set())
        assert paper.words[layout.FILED] == 5
    assert [strike.number for strike in filed(tmp_path)] == [0, 1, 2, 3, 4]


def test_strikes_that_were_overwritten_in_the_kernel_are_declared_lost(tmp_path: Path) -> None:
    paper = PaperLog()
    with journal_on(tmp_path) as journal:
        filing = paper.filing()
        paper.strike(layout.LOG_ROWS + 40)
        assert filing.file(journal, set())
        assert journal.lost == 40
    assert len(filed(tmp_path)) == layout.LOG_ROWS
    assert [note.number for note in Trace(tmp_path).noted("lost")] == [40]


def test_what_another_steward_filed_is_left_out_by_its_key_alone(tmp_path: Path) -> None:
    paper = PaperLog()
    paper.strike(4)
    with journal_on(tmp_path) as journal:
        known = {Strike(1000 + number, pid=4000 + number, start_ticks=7, number=number).key for number in (0, 2)}
        assert paper.filing().file(journal, known)
    assert [strike.number for strike in filed(tmp_path)] == [1, 3]


def test_a_program_stays_in_the_kernel_until_its_strikes_are_filed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = PaperLog()
    paper.strike(1)
    with journal_on(tmp_path) as journal:
        strikes = StrikeFiling(str(tmp_path), journal)
        strikes._over.append(paper.filing())
        with monkeypatch.context() as full:
            full.setattr(os, "write", refuse)
            strikes.file(None)
            assert not paper.removed
        journal.trace._retry_at = 0.0
        journal.trace.catch_up()
        strikes.file(None)
        assert paper.removed
    assert len(filed(tmp_path)) == 1
