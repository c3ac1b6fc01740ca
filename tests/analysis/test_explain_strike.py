"""A strike in the kernel is told like any other kill, though nobody decided it."""

from __future__ import annotations

from pathlib import Path

from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.explain_strike import layers_off
from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import Trace, read_trace
from lmkd_py.cli import story
from lmkd_py.core.config import Config
from lmkd_py.core.vocabulary import ABSENT, KillReason
from lmkd_py.wire.header import Layer, Note, Process, Strike
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write
from tests.core.values import make_candidate

MS = 1_000_000


def struck(path: Path, *strikes: Strike) -> Trace:
    """A decided kill at 1,000,200 ms, and strikes filed behind it."""
    killer = PaperKiller(Config())
    killer.candidates = (make_candidate(71, 900),)
    calm = killer.wakeup(kswapd_progress=101)
    kill = killer.wakeup(**{**LOW_MEM, "kswapd_progress": 102})
    assert kill.outcome.pid == 71
    name = Process(80, 5, 10_000, "com.example.struck")
    return read_trace(write(path / "0001.lmkt", header(killer.config), calm, kill, name, *strikes))


def test_kills_stand_in_the_order_of_time_whenever_they_were_filed(tmp_path: Path) -> None:
    before = Strike(1_000_100 * MS, 1_000_040 * MS, 80, 5, 950, 300, killer_pid=500)
    after = Strike(1_000_400 * MS, 1_000_300 * MS, 81, 6, 940, ABSENT, number=1, killer_pid=500)
    trace = struck(tmp_path, after, before)
    assert trace.all_kills == (before, 1, after)
    assert trace.victims == ((80, 950), (71, 900), (81, 940))
    assert explain(trace, 2).index == 1


def test_a_strike_is_told_with_its_kick_its_victim_and_its_own_reason(tmp_path: Path) -> None:
    trace = struck(tmp_path, Strike(1_000_100 * MS, 1_000_040 * MS, 80, 5, 950, 300, killer_pid=500))
    told = explain(trace, 1)
    assert (told.kind, told.trigger, told.reason) == ("strike", "bpf kick", KillReason.IN_KERNEL_STRIKE)
    assert told.victim is not None
    assert (told.victim.name, told.victim.adj, told.victim.size_kb, told.victim.uid) == (
        "com.example.struck",
        950,
        1200,
        10_000,
    )
    assert told.realtime_ns == 1_700_000_000_000_000_000 + 100_100_000_000
    assert "60 ms" in told.text
    line = story.one_line(1, told)
    assert "IN_KERNEL_STRIKE" in line
    assert any("com.example.struck" in each for each in story.full(1, 2, told))


def test_layers_that_no_record_can_have_are_left_out() -> None:
    layers = (Layer(-1, 0), Layer(2, 0, (Note(kind="pool-off"),)), Layer(1 << 62, 1), Layer(1 << 62, 0))
    off = layers_off(header(Config(), layers=layers), 0)
    assert off == ((2, "off (config): reserve_kb 0: no private pool"),)


def test_a_strike_filed_twice_counts_once_and_replay_leaves_it_out(tmp_path: Path) -> None:
    strike = Strike(1_000_100 * MS, 1_000_040 * MS, 80, 5, 950, 300, killer_pid=500)
    trace = struck(tmp_path, strike, strike)
    assert trace.strikes == (strike,)
    result = replay(trace)
    assert result.agrees
    assert result.kills == 1


def test_the_same_strike_told_by_another_steward_counts_once_whoever_it_says_did_not_answer(tmp_path: Path) -> None:
    known = Strike(1_000_100 * MS, 1_000_040 * MS, 80, 5, 950, 300, killer_pid=500)
    for pair in ((known, known._replace(killer_pid=0)), (known._replace(killer_pid=0), known)):
        assert struck(tmp_path, *pair).strikes == (known,)
    others = tuple(known._replace(number=number, pid=80 + number) for number in range(3))  # struck at one instant
    assert len(struck(tmp_path, *others).strikes) == 3


def test_a_strike_without_a_header_is_still_told(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "0001.lmkt", Strike(5 * MS, 1 * MS, 80, 5, 950, 300, killer_pid=9)))
    told = explain(trace, 1)
    assert told.realtime_ns is None
    assert told.victim is not None
    assert told.victim.size_kb is None


def test_what_a_kernel_did_not_show_of_a_victim_is_told_as_unknown(tmp_path: Path) -> None:
    """Its start and its size; the name is found where only one process of that pid is named."""
    unknown = Strike(1_000_100 * MS, 1_000_040 * MS, 80, ABSENT, 950, ABSENT, killer_pid=500)
    told = explain(struck(tmp_path, unknown), 1)
    assert told.victim is not None
    assert (told.victim.name, told.victim.uid, told.victim.size_kb) == ("com.example.struck", 10_000, None)
    assert told.text.endswith("60 ms; how much memory the victim had is not known")
    two = (Process(80, 5, 10_000, "com.example.struck"), Process(80, 9, 10_001, "com.example.later"))
    told = explain(read_trace(write(tmp_path / "0002.lmkt", *two, unknown)), 1)
    assert told.victim is not None
    assert (told.victim.name, told.victim.uid) == ("", ABSENT)
