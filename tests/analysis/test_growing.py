"""A trace that grows while it is read: what is new is taken in, what was read already is not read again."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkd_py.analysis import mapped
from lmkd_py.analysis.trace import Loss, Trace, TraceError, TraceReader, read_trace
from lmkd_py.core.config import Config
from lmkd_py.wire import frames
from lmkd_py.wire.header import Note, Process
from tests.analysis.paper import LOW_MEM, PaperKiller, Part, frame, header, write
from tests.core.values import make_candidate
from tests.support import REPO_ROOT

CONFIG = Config()


def append(path: Path, *parts: Part) -> int:
    """Append the parts; how many bytes they are."""
    data = b"".join(map(frame, parts))
    with path.open("ab") as file:
        file.write(data)
    return len(data)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offset of each frame whose checksum is computed, in order."""
    seen: list[int] = []
    look = frames._look

    def seeing(data: bytes, at: int, size: int) -> object:
        seen.append(at)
        return look(data, at, size)

    monkeypatch.setattr(frames, "_look", seeing)
    return seen


def told(trace: Trace) -> dict[str, object]:
    """All that a trace says, as plain values."""
    plain = {name: value for name, value in vars(trace).items() if name not in ("records", "kills")}
    records = [(one.index, one.seq, one.killer_pid, one.file, one.offset, one.header, one.config, one.record)
               for one in trace.records]  # fmt: skip
    # How a stretch is damaged may depend on how long the file was when it was read.
    losses = [replace(loss, why="") for loss in trace.losses]
    return {**plain, "records": records, "kills": trace.kills.indexes, "losses": losses}


def test_only_what_was_appended_is_read(tmp_path: Path, looked_at: list[int]) -> None:
    killer = PaperKiller()
    path = write(tmp_path / "0001.lmkt", header(CONFIG), *(killer.wakeup() for _ in range(50)))
    reader = TraceReader(tmp_path)
    assert len(reader.read().records) == 50
    assert len(looked_at) == 51
    for nth in range(3):
        looked_at.clear()
        at = path.stat().st_size
        append(path, killer.wakeup())
        trace = reader.read()
        assert looked_at == [at]
        assert [one.seq for one in trace.records[50:]] == list(range(50, 51 + nth))
    looked_at.clear()
    assert len(reader.read().records) == 53
    assert looked_at == []


def test_a_trace_read_before_stays_as_it_was(tmp_path: Path) -> None:
    killer = PaperKiller()
    path = write(tmp_path / "0001.lmkt", header(CONFIG), killer.wakeup())
    reader = TraceReader(path)
    before = reader.read()
    append(path, killer.wakeup(), Process(5, 5), Note(5, "reload"))
    after = reader.read()
    assert (len(before.records), len(before.processes), len(before.notes)) == (1, 0, 0)
    assert (len(after.records), len(after.processes), len(after.notes)) == (2, 1, 1)
    assert before.records[0].record == after.records[0].record


def test_the_next_file_goes_on(tmp_path: Path, looked_at: list[int]) -> None:
    killer = PaperKiller()
    write(tmp_path / "0001.lmkt", header(CONFIG), killer.wakeup())
    reader = TraceReader(tmp_path)
    reader.read()
    looked_at.clear()
    write(tmp_path / "0002.lmkt", header(CONFIG), killer.wakeup())
    assert [one.seq for one in reader.read().records] == [0, 1]
    assert len(looked_at) == 2


def test_a_torn_end_is_a_loss_until_it_is_whole(tmp_path: Path) -> None:
    killer = PaperKiller()
    path = write(tmp_path / "0001.lmkt", header(CONFIG), killer.wakeup())
    reader = TraceReader(path)
    at, late = path.stat().st_size, frame(killer.wakeup())
    append(path, late[:100])
    assert reader.read().losses == (Loss(path, at, 100, f"cut short: 100 of {len(late)} bytes"),)
    append(path, late[100:])
    whole = reader.read()
    assert (whole.losses, len(whole.records)) == ((), 2)


def test_a_header_that_comes_late_serves_records_read_before(tmp_path: Path) -> None:
    path = write(tmp_path / "0001.lmkt", PaperKiller().wakeup())
    reader = TraceReader(path)
    assert reader.read().records[0].config is None
    append(path, header(CONFIG))
    assert reader.read().records[0].config == CONFIG


def test_a_trace_that_is_still_empty_may_come(tmp_path: Path) -> None:
    path = write(tmp_path / "0001.lmkt")
    reader = TraceReader(tmp_path)
    with pytest.raises(TraceError, match="0 bytes"):
        reader.read()
    append(path, header(CONFIG), PaperKiller().wakeup())
    assert len(reader.read().records) == 1


@pytest.mark.parametrize("change", ["removed", "replaced", "cut", "an old one grows"])
def test_what_is_no_longer_what_was_read_is_read_anew(tmp_path: Path, change: str) -> None:
    killer = PaperKiller()
    first = write(tmp_path / "0001.lmkt", header(CONFIG), killer.wakeup(), killer.wakeup())
    second = write(tmp_path / "0002.lmkt", header(CONFIG), killer.wakeup())
    reader = TraceReader(tmp_path)
    reader.read()
    if change == "removed":
        first.unlink()
    elif change == "replaced":
        write(tmp_path / "new", header(CONFIG), PaperKiller(pid=600).wakeup(), PaperKiller(pid=700).wakeup())
        (tmp_path / "new").replace(second)
    elif change == "cut":
        with second.open("r+b") as file:
            file.truncate(second.stat().st_size - 1)
    else:
        append(first, PaperKiller(pid=600).wakeup())
    assert told(reader.read()) == told(read_trace(tmp_path))


def pieces() -> bytes:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900), make_candidate(72, 800))
    batch = [killer.wakeup(), killer.wakeup(**LOW_MEM, kswapd_progress=102), killer.wakeup()]
    parts: list[Part] = [header(CONFIG), *batch, Process(71, 1), *batch[1:], b"\xffLK\xfc", killer.wakeup(), b"noise"]
    return b"".join(map(frame, [*parts, Note(5, "stopped"), PaperKiller(pid=600).wakeup()]))


PIECES = pieces()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cuts=st.lists(st.integers(0, len(PIECES)), max_size=6), read_bytes=st.sampled_from([0, 1, 5_000, 1 << 20]))
def test_reading_in_pieces_gives_what_reading_at_once_gives(tmp_path: Path, cuts: list[int], read_bytes: int) -> None:
    path = tmp_path / "0001.lmkt"
    path.write_bytes(b"")
    reader = TraceReader(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "READ_BYTES", max(read_bytes, 1))
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(PIECES)], strict=True):
            append(path, PIECES[begin:end])
            try:
                reader.read()
            except TraceError:
                continue
        assert told(reader.read()) == told(read_trace(path))


@pytest.mark.parametrize("read_bytes", [1, 1 << 30])
def test_a_file_that_is_cut_while_it_is_opened_is_read_as_it_is_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    monkeypatch.setattr(mapped, "READ_BYTES", read_bytes)
    path = write(tmp_path / "0001.lmkt", header(CONFIG), PaperKiller().wakeup())
    whole = path.stat().st_size
    append(path, PaperKiller().wakeup())
    real = os.fstat

    def fstat(fd: int) -> os.stat_result:
        found = real(fd)
        if found.st_size > whole:
            os.truncate(path, whole)
        return found

    monkeypatch.setattr(os, "fstat", fstat)
    trace = read_trace(path)
    assert (len(trace.records), trace.losses) == (1, ())


CUT = """
import sys
from pathlib import Path
from lmkd_py.analysis import mapped
from lmkd_py.analysis.trace import TraceReader

mapped.READ_BYTES = 1
path, whole = Path(sys.argv[1]), int(sys.argv[2])
reader = TraceReader(path)
trace = reader.read()
with path.open("r+b") as file:
    file.truncate(whole)
print(sum(one.record.seq >= 0 for one in trace.records), len(trace.losses))
trace = reader.read()
print(sum(one.record.seq >= 0 for one in trace.records), len(trace.losses))
"""


def test_a_torn_end_that_the_steward_cuts_off_leaves_a_mapped_reader_its_records(tmp_path: Path) -> None:
    """The steward cuts what a full disk left of a frame. Pages behind the end of a mapped file must not be touched."""
    killer = PaperKiller()
    path = write(tmp_path / "0001.lmkt", header(CONFIG), *(killer.wakeup() for _ in range(20)))
    whole = path.stat().st_size
    frame_bytes = frame(killer.wakeup())
    with path.open("ab") as file:
        file.write(frame_bytes[:8] + bytes(5 * mmap.PAGESIZE))
    words = [sys.executable, "-c", CUT, str(path), str(whole)]
    done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["20", "1", "20", "0"]), done.stderr
