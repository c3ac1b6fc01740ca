from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import Gap, Loss, TraceError, read_trace
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.wire.frames import frame_bytes
from lmkd_py.wire.header import LOST, Note, Process
from tests.analysis.paper import LOW_MEM, PaperKiller, Part, frame, header, write
from tests.core.values import make_candidate

CONFIG = Config()
OTHER = Config(PolicyConfig(lowmem_min_adj=950))


def test_everything_in_a_file_is_there_in_order(tmp_path: Path) -> None:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900), make_candidate(72, 800))
    records = [
        killer.wakeup(kswapd_progress=101),
        killer.wakeup(**LOW_MEM, kswapd_progress=102),
        killer.wakeup(),
    ]
    named = Process(71, 1, 10_000, "com.example.app")
    note = Note(5, "killer-started", "", 500)
    trace = read_trace(write(tmp_path / "0001.lmkt", header(CONFIG), note, records[0], named, records[1], records[2]))
    assert [traced.record for traced in trace.records] == records
    assert [traced.seq for traced in trace.records] == [0, 1, 2]
    assert trace.kills.indexes == (1,)
    assert trace.headers == (header(CONFIG),)
    assert trace.notes == (note,)
    assert trace.name_of(71, 1) == "com.example.app"
    assert trace.name_of(71, 2) == ""  # another process with that pid
    assert {traced.config for traced in trace.records} == {CONFIG}
    assert (trace.losses, trace.gaps, trace.repeated) == ((), (), 0)


def test_a_directory_is_all_its_files_in_numerical_order(tmp_path: Path) -> None:
    killer = PaperKiller()
    for number in (9, 10, 11):
        write(tmp_path / f"{number:04d}.lmkt", header(CONFIG), killer.wakeup(), killer.wakeup())
    write(tmp_path / "notes.lmkt", b"not a number")
    (tmp_path / "0012.tmp").write_bytes(b"not a trace")
    trace = read_trace(tmp_path)
    assert [traced.seq for traced in trace.records] == [0, 1, 2, 3, 4, 5]
    assert [file.name for file in trace.files] == ["0009.lmkt", "0010.lmkt", "0011.lmkt"]
    assert trace.losses == ()


def test_a_record_goes_by_the_config_of_its_own_killer_and_generation(tmp_path: Path) -> None:
    first, reloaded, second = PaperKiller(), PaperKiller(OTHER, generation=2), PaperKiller(OTHER, pid=600)
    trace = read_trace(
        write(
            tmp_path / "0001.lmkt",
            header(CONFIG),
            first.wakeup(),
            header(OTHER, generation=2),
            first.wakeup(),  # was in the ring when the reload happened
            reloaded.wakeup(),
            header(OTHER, killer_pid=600),
            first.wakeup(),  # the last words of an orphan
            second.wakeup(),
        )
    )
    assert [traced.config for traced in trace.records] == [CONFIG, CONFIG, OTHER, CONFIG, OTHER]
    assert [traced.header.killer_pid for traced in trace.records if traced.header] == [500, 500, 500, 500, 600]


def test_of_several_headers_of_one_config_the_last_before_a_record_is_its_own(tmp_path: Path) -> None:
    killer = PaperKiller()
    parts: list[Part] = [killer.wakeup()]
    for board in ("first", "second", "third"):
        parts += [header(CONFIG, board=board), killer.wakeup()]
    trace = read_trace(write(tmp_path / "0001.lmkt", *parts))
    assert [one.header.board for one in trace.records if one.header] == ["first", "first", "second", "third"]


def test_a_header_that_was_written_late_serves_too(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "0001.lmkt", PaperKiller().wakeup(), header(CONFIG)))
    assert trace.records[0].config == CONFIG


def test_a_record_whose_header_is_lost_has_no_config(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "0001.lmkt", header(CONFIG, killer_pid=1), PaperKiller().wakeup()))
    assert trace.records[0].header is None
    assert trace.records[0].config is None
    bad = header(CONFIG)._replace(config=b"\xff")
    trace = read_trace(write(tmp_path / "0002.lmkt", bad, PaperKiller().wakeup()))
    assert trace.records[0].header == bad
    assert trace.records[0].config is None


def test_missing_records_are_counted_for_each_killer(tmp_path: Path) -> None:
    first, second = PaperKiller(), PaperKiller(pid=600)
    ours, theirs = [first.wakeup() for _ in range(6)], [second.wakeup() for _ in range(3)]
    parts = (header(CONFIG), ours[0], ours[1], theirs[0], ours[5], theirs[2])
    trace = read_trace(write(tmp_path / "0001.lmkt", *parts))
    assert trace.gaps == (Gap(500, 1, 5), Gap(600, 0, 2))
    assert [gap.count for gap in trace.gaps] == [3, 1]
    assert trace.undeclared == 4
    declared = read_trace(write(tmp_path / "0001.lmkt", *parts, Note(5, LOST, "left out", 3)))
    assert declared.undeclared == 1


def test_a_record_that_was_filed_twice_counts_once(tmp_path: Path) -> None:
    killer = PaperKiller()
    records = [killer.wakeup(), killer.wakeup()]
    write(tmp_path / "0001.lmkt", header(CONFIG), *records)
    write(tmp_path / "0002.lmkt", header(CONFIG), records[1], killer.wakeup())
    trace = read_trace(tmp_path)
    assert [traced.seq for traced in trace.records] == [0, 1, 2]
    assert trace.repeated == 1
    assert trace.gaps == ()


def test_a_batch_that_was_filed_twice_counts_once(tmp_path: Path) -> None:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900), make_candidate(72, 800))
    batch = [
        killer.wakeup(kswapd_progress=101),
        killer.wakeup(**LOW_MEM, kswapd_progress=102),
        killer.wakeup(),
    ]
    write(tmp_path / "0001.lmkt", header(CONFIG), *batch)
    write(tmp_path / "0002.lmkt", header(CONFIG), *batch, killer.wakeup())
    trace = read_trace(tmp_path)
    assert [traced.seq for traced in trace.records] == [0, 1, 2, 3]
    assert trace.kills.indexes == (1,)
    assert trace.repeated == 3
    assert trace.gaps == ()


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    killer = PaperKiller()
    head, records = frame(header(CONFIG)), [killer.wakeup() for _ in range(3)]
    damaged = bytearray(frame(records[1]))
    damaged[100] ^= 1
    size = len(damaged)
    path = write(tmp_path / "0001.lmkt", head, records[0], bytes(damaged), records[2], frame(records[2])[:50])
    trace = read_trace(path)
    assert [traced.seq for traced in trace.records] == [0, 2]
    assert trace.losses == (
        Loss(path, len(head) + size, size, "its checksum is wrong"),
        Loss(path, len(head) + 3 * size, 50, f"cut short: 50 of {size} bytes"),
    )
    assert trace.gaps == (Gap(500, 0, 2),)


def test_whole_frames_that_say_nothing_known_are_losses(tmp_path: Path) -> None:
    strange = [frame_bytes(2, b"short"), frame_bytes(1, b"\xff"), frame_bytes(99, b"new"), frame_bytes(4, b"\x0b")]
    strange += [frame(header(CONFIG, format=3)), frame_bytes(2, bytes(len(frame(PaperKiller().wakeup())) - 12))]
    path = write(tmp_path / "0001.lmkt", frame(header(CONFIG)), *strange)
    trace = read_trace(path)
    assert [loss.offset for loss in trace.losses] == [
        len(frame(header(CONFIG))) + sum(map(len, strange[:i])) for i in range(len(strange))
    ]
    assert [loss.length for loss in trace.losses] == list(map(len, strange))
    assert "found 5 bytes, wanted" in trace.losses[0].why
    assert "kind 99" in trace.losses[2].why
    assert "Header.format: found 3" in trace.losses[4].why
    assert "before seq" in trace.losses[5].why


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\xffLK\xfd" * 100])
def test_a_file_without_any_frame_is_no_trace(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0001.lmkt"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=f"0001.lmkt: found {len(content)} bytes without one whole frame"):
        read_trace(path)


def as_format_1(path: Path) -> Path:
    path.write_bytes(b"\xffLK\xfe" + path.read_bytes()[4:])
    return path


def test_format_1_is_refused_in_one_line(tmp_path: Path) -> None:
    path = as_format_1(write(tmp_path / "0001.lmkt", header(CONFIG, format=1)))
    line = f"{path}: found a trace of format 1, wanted format 2: use the lmkctl of the daemon that wrote it"
    with pytest.raises(TraceError) as refusal:
        read_trace(path)
    assert str(refusal.value) == line


def test_a_file_of_format_1_is_a_loss_beside_one_that_can_be_read(tmp_path: Path) -> None:
    old = as_format_1(write(tmp_path / "0001.lmkt", header(CONFIG, format=1)))
    write(tmp_path / "0002.lmkt", header(CONFIG), PaperKiller().wakeup())
    trace = read_trace(tmp_path)
    assert len(trace.records) == 1
    ((loss),) = trace.losses
    assert (loss.file, loss.offset, loss.length) == (old, 0, old.stat().st_size)
    assert "format 1, wanted format 2" in loss.why


def test_an_empty_directory_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"directory without NNNN\.lmkt"):
        read_trace(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_trace(tmp_path / "0001.lmkt")


def sample() -> bytes:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900), make_candidate(72, 800))
    parts: list[Part] = [
        header(CONFIG),
        killer.wakeup(),
        killer.wakeup(**LOW_MEM, kswapd_progress=102),
        killer.wakeup(),
    ]
    parts += [Process(71, 1, 10_000, "a"), Note(5, "stopped", "", 0)]
    return b"".join(frame(part) for part in parts)


SAMPLE = sample()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    cut=st.integers(0, len(SAMPLE)),
    edits=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=3)), max_size=4),
)
def test_a_damaged_trace_never_raises_anything_but_a_trace_error(
    tmp_path: Path, cut: int, edits: list[tuple[int, bytes]]
) -> None:
    damaged = bytearray(SAMPLE[:cut])
    for at, bytes_ in edits:
        damaged[at : at + 1] = bytes_
    path = tmp_path / "0001.lmkt"
    path.write_bytes(damaged)
    try:
        trace = read_trace(path)
    except TraceError:
        return
    assert replay(trace).differences == ()
    for number in range(1, len(trace.kills) + 1):
        explain(trace, number)
