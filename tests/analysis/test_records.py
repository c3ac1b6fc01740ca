"""The library's way to the records of a trace: by index, in order, as columns."""

from __future__ import annotations

import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lmkd_py.analysis
from lmkd_py.analysis import columns, mapped, packed
from lmkd_py.analysis.records import KEPT
from lmkd_py.analysis.replay import replay
from lmkd_py.core.config import Config
from lmkd_py.wire.frames import RECORD, frame_bytes
from lmkd_py.wire.header import Note, Process
from lmkd_py.wire.record import LAYOUT, RECORD_SIZE, SHORT_SIZE, Record, RecordError, shortened, unpack_record
from tests.analysis import paper
from tests.analysis.counted import decoded
from tests.analysis.long import kills, polls, write_long
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write
from tests.core.values import make_candidate
from tests.support import REPO_ROOT
from tests.wire.values import RECORDS, counting_record

CONFIG = Config()


@pytest.fixture
def trace(tmp_path: Path) -> lmkd_py.analysis.Trace:
    """Three kills, each with the wakeup after it."""
    return lmkd_py.analysis.open(write_long(tmp_path / "0001.lmkt", kills(3)))


def test_records_are_found_by_index_from_either_end(trace: lmkd_py.analysis.Trace) -> None:
    assert len(trace.records) == 6
    assert [trace.records[index].seq for index in (0, 5, -1, -6)] == [0, 5, 5, 0]
    assert [one.seq for one in trace.records[1:5:2]] == [1, 3]
    assert [one.index for one in trace.records] == list(range(6))
    for beyond in (6, -7):
        with pytest.raises(IndexError, match=f"found record {beyond}"):
            trace.records[beyond]


def test_kills_are_records_and_decoded_once(trace: lmkd_py.analysis.Trace) -> None:
    with decoded() as seen:
        assert [kill.record.outcome.pid for kill in trace.kills] == [1000, 1008, 1016]
        assert trace.kills[-1].record.seq == 4
        assert [kill.index for kill in trace.kills[:2]] == [0, 2]
    assert seen == [0, 2, 4]


def test_what_was_decoded_long_ago_is_not_kept(tmp_path: Path) -> None:
    trace = lmkd_py.analysis.open(write_long(tmp_path / "0001.lmkt", polls(3 * KEPT)))
    kept = [trace.records[index] for index in range(len(trace.records))]
    assert trace.records[-1] is kept[-1]
    assert trace.records[0] is not kept[0]
    assert len(trace.records._kept) <= KEPT
    walked = list(trace.records)
    assert not any(one is two for one, two in zip(walked, kept, strict=True))


def test_a_column_has_a_number_of_every_record(trace: lmkd_py.analysis.Trace) -> None:
    free_kb = trace.records["snapshot.mem_free_kb"]
    assert free_kb.shape == (6,)
    assert free_kb.dtype == np.int64
    assert free_kb.tolist() == [one.record.snapshot.mem_free_kb for one in trace.records]
    pids = trace.records["snapshot.candidates.pid"]
    assert pids.shape == (6, 8)
    assert pids[0].tolist() == [row.pid for row in trace.records[0].record.snapshot.candidates]
    assert not pids[1].any()  # nobody was considered
    assert trace.records["outcome"]["pid"].tolist() == trace.records["outcome.pid"].tolist()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("snapshot.mem_fre_kb", "mem_free_kb"), ("free", "snapshot"), ("seq.more", "nothing below a number")],
)
def test_a_column_that_is_not_there_is_refused(trace: lmkd_py.analysis.Trace, path: str, wanted: str) -> None:
    with pytest.raises(KeyError, match=f"found {path}, wanted instead of .*{wanted}"):
        trace.records[path]


def test_records_back_to_back_are_a_view_of_their_file(tmp_path: Path) -> None:
    path = write_long(tmp_path / "0001.lmkt", polls(mapped.READ_BYTES // RECORD_SIZE + 1))
    array = lmkd_py.analysis.open(path).records.array
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    assert type(base).__name__ == "mmap"
    assert not array.flags.writeable
    assert array["seq"].tolist() == list(range(len(array)))
    changed = bytearray(path.read_bytes())
    at = changed.index(packed_seq(5)) + len(LAYOUT.constants[0])
    changed[at] = 77
    path.write_bytes(changed)
    assert array["seq"][5] == 77


def packed_seq(seq: int) -> bytes:
    """How a record with this number begins."""
    return LAYOUT.constants[0] + seq.to_bytes(8, "little")


def test_records_of_several_files_and_with_others_between_are_one_array(tmp_path: Path) -> None:
    killer = PaperKiller()
    records = [killer.wakeup(mem_free_kb=nth) for nth in range(9)]
    stranger = PaperKiller(pid=600).wakeup(mem_free_kb=99)
    write(tmp_path / "0001.lmkt", header(CONFIG), *records[:3], Note(5, "reload"), *records[3:5], stranger, records[5])
    write(tmp_path / "0002.lmkt", header(CONFIG), *records[6:])
    trace = lmkd_py.analysis.open(tmp_path)
    assert trace.records.array["snapshot"]["mem_free_kb"].tolist() == [0, 1, 2, 3, 4, 99, 5, 6, 7, 8]
    assert trace.records["killer_pid"].tolist() == [500] * 5 + [600] + [500] * 4
    assert [one.seq for one in trace.records.following(3)] == [4, 5, 6, 7, 8]
    assert list(trace.records.following(5)) == []


def filed(record: Record) -> bytes:
    """The frame as a steward files it: without rows where there are no candidates."""
    data = paper.packed(record)
    return frame_bytes(RECORD, data if record.snapshot.candidates else shortened(data))


def test_records_with_and_without_candidate_rows_are_read_alike(tmp_path: Path) -> None:
    killer = PaperKiller(CONFIG)
    killer.candidates = tuple(make_candidate(70 + nth, 900 + nth) for nth in range(9))
    low = {**LOW_MEM, "kswapd_progress": 102}
    records = [killer.wakeup(), killer.wakeup(), killer.wakeup(**low), killer.wakeup(), killer.wakeup(mem_free_kb=7)]
    assert [len(record.snapshot.candidates) for record in records] == [0, 0, 8, 0, 0]
    whole = lmkd_py.analysis.open(write(tmp_path / "0001.lmkt", header(CONFIG), *records))
    short = lmkd_py.analysis.open(write(tmp_path / "0002.lmkt", header(CONFIG), *map(filed, records)))
    saved = (tmp_path / "0001.lmkt").stat().st_size - (tmp_path / "0002.lmkt").stat().st_size
    assert saved == 4 * (RECORD_SIZE - SHORT_SIZE)
    assert [one.record for one in short.records] == records
    assert [short.records[nth].record for nth in range(5)] == records
    assert [one.seq for one in short.records.following(1)] == [2, 3, 4]
    assert [kill.index for kill in short.kills] == [2]
    for name in LAYOUT.names:
        assert [one.peek(name) for one in short.records] == [one.peek(name) for one in whole.records]
    array = short.records.array
    for path in {re.sub(r"\[\d\]", "", name) for name in LAYOUT.names}:
        column, (message, _, field) = whole.records[path], path.rpartition(".")
        assert (short.records[path] == column).all()
        assert (columns.part(array, path) == column).all()
        if message:
            assert (columns.part(short.records[message], field) == column).all()
    (tmp_path / "0003.lmkt").write_bytes(paper.frame(header(CONFIG)) + filed(records[0]))
    alone = lmkd_py.analysis.open(tmp_path / "0003.lmkt").records.array
    assert alone["snapshot"]["candidates"]["adj"].tolist() == [[0] * 8]
    assert replay(short).agrees
    assert replay(short) == replay(whole)


def test_a_trace_without_records_has_empty_columns(tmp_path: Path) -> None:
    trace = lmkd_py.analysis.open(write(tmp_path / "0001.lmkt", header(CONFIG)))
    assert (len(trace.records), list(trace.records), len(trace.kills)) == (0, [], 0)
    assert trace.records["snapshot.candidates.adj"].shape == (0, 8)
    assert trace.records.array.shape == (0,)


@given(RECORDS)
def test_every_number_is_the_same_decoded_peeked_and_in_its_column(record: Record) -> None:
    data = bytes(4) + paper.packed(record)
    rows = np.frombuffer(data, columns.RECORD, 1, 4)
    record = unpack_record(data, 4)
    for name in LAYOUT.names:
        number = packed.number(name, data, 4)
        ahead, _, last = name.partition("[")
        if last:  # snapshot.candidates[0].pid
            nth, _, field = last.partition("].")
            assert columns.part(rows, f"{ahead}.{field}")[0, int(nth)] == number
        else:
            assert columns.part(rows, name)[0] == attrgetter(name)(record) == number


PACKED = paper.packed(counting_record())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, RECORD_SIZE - 1), st.integers(0, 255)), max_size=3), st.integers(-2, 1))
def test_what_is_checked_quickly_is_refused_as_when_it_is_decoded(edits: list[tuple[int, int]], more: int) -> None:
    damaged = bytearray(PACKED)
    for at, byte in edits:
        damaged[at] = byte
    data = bytes(damaged[:more] if more < 0 else damaged + bytes(more))

    def told(read: Any) -> str:
        try:
            read(data)
        except RecordError as error:
            return str(error)
        return ""

    if more <= 0:
        assert told(packed.check) == told(unpack_record)
    else:
        assert "wanted" in told(packed.check)


def test_reading_and_explaining_need_no_numpy(tmp_path: Path) -> None:
    path = write_long(tmp_path / "0001.lmkt", kills(1))
    code = (
        "import sys, lmkd_py.analysis as a; from lmkd_py.analysis.explain import explain; from lmkd_py.analysis.replay "
        "import replay; t = a.open(sys.argv[1]); explain(t, 1); assert replay(t).agrees; assert 'numpy' not in "
        "sys.modules; t.records['seq']; assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=REPO_ROOT, check=True)


def test_a_process_named_between_two_records_does_not_part_them(tmp_path: Path) -> None:
    killer = PaperKiller()
    path = write(tmp_path / "0001.lmkt", header(CONFIG), killer.wakeup(), Process(1, 1), killer.wakeup())
    assert [one.seq for one in lmkd_py.analysis.open(path).records.following(0)] == [1]
