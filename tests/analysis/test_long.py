"""Long traces: the work grows with their length and no faster, and a replay holds one record at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from lmkd_py.analysis import mapped
from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.replay import MAX_DIFFERENCES, replay
from lmkd_py.analysis.trace import Trace, read_trace
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.wire.header import MEMBERSHIP, Note, Process, Strike
from lmkd_py.wire.record import RECORD_SIZE
from tests.analysis.counted import decoded, steps_of
from tests.analysis.long import kills, polls, replay_all, write_long
from tests.analysis.paper import PaperKiller, Part, header, write

FEW, MANY = 20, 80


def explain_all(trace: Trace) -> None:
    for number in range(1, len(trace.all_kills) + 1):
        explain(trace, number)


def test_each_kill_is_decoded_once_however_many_there_are(tmp_path: Path) -> None:
    trace = read_trace(write_long(tmp_path / "0001.lmkt", kills(MANY)))
    with decoded() as seen:
        explain_all(trace)
    assert seen == [kill.seq for kill in trace.kills]


def strikes(count: int) -> Iterator[Part]:
    """So many strikes in the kernel, of which it did not say when their victims began."""
    for nth in range(count):
        yield Process(1000 + nth, 7, 10_000, "com.example.app")
        yield header(Config(), killer_pid=2000 + nth)
        yield Strike(nth * 1_000_000, 0, 1000 + nth, -1, 900, number=nth, killer_pid=500)


def in_turns(count: int) -> Iterator[Part]:
    """Kills of a killer whose victims never die, among as many wakeups of another and notes about its members."""
    other = PaperKiller(pid=600)
    for part in kills(count):
        yield part
        yield other.wakeup()
        yield Note(1, MEMBERSHIP, "", 5)


@pytest.mark.parametrize("parts", [kills, strikes, in_turns], ids=["kills", "strikes", "two killers"])
def test_explaining_grows_no_faster_than_the_trace(tmp_path: Path, parts: Callable[[int], Iterator[Part]]) -> None:
    def steps(count: int) -> int:
        path = write_long(tmp_path / f"{count}.lmkt", parts(count))
        return steps_of(lambda: explain_all(read_trace(path)))

    steps(FEW)  # what is cached on the way
    few, many, most = steps(FEW), steps(MANY), steps(2 * MANY - FEW)
    assert most - many < 1.003 * (many - few), "of as many more"


def peak_of(work: Callable[[], object]) -> int:
    """The most bytes that Python held for it at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_replay_holds_no_more_of_a_long_trace_than_of_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmkd_py.analysis.intake.REPEATED_WITHIN", 100)
    short, long = (write_long(tmp_path / f"{count}.lmkt", polls(count)) for count in (200, 1_000))
    assert short.stat().st_size > mapped.READ_BYTES
    replay_all(long)  # what is loaded and cached on the way
    first, second = (peak_of(partial(replay_all, path)) for path in (short, long))
    assert second - first < 50 * RECORD_SIZE, "of 800 more"


def test_a_walk_gives_the_pages_behind_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "STEP_BYTES", 64 << 10)
    path = write_long(tmp_path / "0001.lmkt", polls(600))
    trace = read_trace(path)

    def resident_kb() -> int:
        lines = iter(Path("/proc/self/smaps").read_text().splitlines())
        assert any(str(path) in line for line in lines)
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))

    assert resident_kb() < 64
    for one in trace.records:
        assert one.record.seq == one.index
        if one.index % 50 == 0:
            assert resident_kb() < 4 * 64  # the kernel maps pages around one that is touched
    assert resident_kb() < 64


def test_of_differences_without_end_the_first_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    killer = PaperKiller()
    wrong = [record._replace(seq=2 * record.seq, judgement=record.judgement._replace(min_adj=77, reason=3))
             for record in (killer.wakeup() for _ in range(MAX_DIFFERENCES // 2 + 5))]  # fmt: skip
    result = replay(read_trace(write(tmp_path / "0001.lmkt", header(Config(PolicyConfig())), *wrong)))
    assert result.different == 2 * len(wrong) > MAX_DIFFERENCES
    assert len(result.differences) == MAX_DIFFERENCES
    assert not result.agrees


def test_a_record_is_known_again_across_a_whole_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmkd_py.analysis.intake.REPEATED_WITHIN", 8)
    killer = PaperKiller()
    records = [killer.wakeup() for _ in range(20)]
    again = write(tmp_path / "0001.lmkt", header(Config()), *records, *records[-8:], killer.wakeup())
    trace = read_trace(again)
    assert ([one.seq for one in trace.records], trace.repeated, trace.gaps) == (list(range(21)), 8, ())
