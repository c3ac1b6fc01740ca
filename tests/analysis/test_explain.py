from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkd_py.analysis.explain import NoSuchKill, explain, explain_record
from lmkd_py.analysis.explanation import After, Considered, Death, Explanation, LeftOut, Phase, Reading
from lmkd_py.analysis.rungs import MATCHED, NOT_REACHED, SILENT
from lmkd_py.analysis.trace import Trace, read_trace
from lmkd_py.cli import story as cli_story
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.core.vocabulary import ABSENT, KillReason, Level, PolicyKind, ProgressSource, WakeupKind
from lmkd_py.wire import record
from lmkd_py.wire.header import Process
from lmkd_py.wire.record import Aftermath, Record
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write
from tests.analysis.test_replay import COUNTERS, POLICIES
from tests.core.values import make_candidate
from tests.wire.values import RECORDS

CONFIG = Config()


def story(path: Path, **changes: Any) -> Trace:
    """A calm wakeup, a kill (its counters changed by `changes`), the poll that saw the victim's death."""
    killer = PaperKiller(changes.pop("config", CONFIG))
    killer.candidates = (
        make_candidate(71, 900, rss_pages=2_000),
        make_candidate(72, 900, age=-1),
        make_candidate(73, 0),
    )
    calm = killer.wakeup(kswapd_progress=101)
    struck_ns = (killer.now_ms + 100) * 1_000_000
    kill = killer.wakeup(**{**LOW_MEM, "kswapd_progress": 102, **changes})
    death = Aftermath(kill.outcome.pid, struck_ns, struck_ns + 12_345_000, 140_000, 0)
    after = killer.wakeup(after_ms=20, mem_free_kb=42_000, kswapd_progress=103, aftermath=death)
    names = (Process(71, 1, 10_000, "com.example.old"), Process(72, 1, 10_000, "com.example.older"))
    return read_trace(write(path / "0001.lmkt", header(killer.config), calm, *names, kill, after))


def test_wakeups_left_out_before_a_kill_are_told_in_plain_words(tmp_path: Path) -> None:
    trace = story(tmp_path)
    assert [explain_record(trace, index).left_out for index in range(3)] == [None] * 3
    calm, kill = trace.records[0].record, trace.records[1].record
    seen = kill._replace(left_out=record.LeftOut(54, 1_000_110, 1_000_190, 31 << 10, 1230, ABSENT))
    told = explain(read_trace(write(tmp_path / "0002.lmkt", header(CONFIG), calm, seen)), 1)
    assert told.left_out == LeftOut(54, 80, 31 << 10, 12.3, None)
    words = "54 wakeups without a kill before it were left out, free memory at least 31 MiB, PSI some at most 12.3 %"
    assert words in cli_story.one_line(1, told)
    assert f"{words}, within 80 ms" in " ".join(" ".join(cli_story.full(1, 1, told)).split())


def test_a_kill_is_told_from_the_trigger_to_the_freed_memory(tmp_path: Path) -> None:
    kill = explain(story(tmp_path), 1)
    assert (kill.index, kill.seq, kill.killer_pid, kill.observe, kill.layers) == (1, 1, 500, False, (0,))
    assert kill.layers_off == ((1, "not active: SCHED_FIFO 10 refused: Operation not permitted"),)
    assert (kill.trigger, kill.kind, kill.level, kill.action) == (
        "psi some: 70 ms in 1000 ms",
        "event",
        "medium",
        "kill",
    )
    assert kill.monotonic_ms == 1_000_200
    assert kill.realtime_ns == 1_700_000_000_000_000_000 + 100_200_000_000  # the header's clocks stood at 900 s
    assert (kill.rule, kill.reason, kill.text) == ("low_mem", KillReason.LOW_MEM, "low watermark is breached")
    assert (kill.min_adj, kill.floor_note) == (701, "")
    assert kill.victims == (
        Considered(72, 10_000, "com.example.older", 900, 4_000, True),
        Considered(71, 10_000, "com.example.old", 900, 8_000, False),
    )
    assert kill.victim == kill.victims[0]
    assert (kill.considered, kill.attempts, kill.error) == (3, 1, 0)
    assert kill.death == Death(12_345.0, 140.0, 0)
    assert kill.after == After(2, 20, 12_000)


def test_values_have_units_and_absent_ones_are_left_out(tmp_path: Path) -> None:
    kill = explain(story(tmp_path, cma_free_kb=ABSENT, psi_mem_some_avg10_centi_pct=1_234), 1)
    assert Reading("mem_free", 30_000, "kB") in kill.values
    assert Reading("psi_mem_some_avg10", 12.34, "%") in kill.values
    assert Reading("watermark_low", 10_000, "pages") in kill.values
    assert "cma_free" not in [reading.name for reading in kill.values]
    assert Reading("breached low", 1, "") in kill.signals
    assert Reading("reclaim kswapd", 1, "") in kill.signals


@pytest.mark.parametrize(
    ("source", "kswapd", "direct"),
    [
        (ProgressSource.VMSTAT, "pages", "pages"),
        (ProgressSource.BPF, "us", "reclaims"),
        (ProgressSource.FAILCNT, "", "hits of the limit"),
        (ProgressSource.LIMIT_EVENTS, "", "limit events"),
        (ProgressSource.UNKNOWN, "", ""),
    ],
)
def test_what_reclaim_is_counted_in_stands_in_the_header(
    tmp_path: Path, source: ProgressSource, kswapd: str, direct: str
) -> None:
    killer = PaperKiller(CONFIG)
    kill = killer.wakeup(**LOW_MEM, kswapd_progress=102, direct_progress=7)
    trace = read_trace(write(tmp_path / "0001.lmkt", header(CONFIG, progress_source=int(source)), kill))
    values = explain_record(trace, 0).values
    assert Reading("kswapd_progress", 102, kswapd) in values
    assert Reading("direct_progress", 7, direct) in values


def test_a_poll_that_the_meter_made_an_event_is_told_as_one(tmp_path: Path) -> None:
    stall = {"event_stall_us": 800_000, "event_threshold_us": 700_000, "metered_level": Level.CRITICAL}
    kill = explain(story(tmp_path, kind=WakeupKind.POLL, mem_free_kb=400_000, trigger=1, **stall), 1)
    assert (kill.trigger, kill.kind, kill.level) == ("psi full: 700 ms in 1000 ms", "event", "critical")
    assert (kill.rule, kill.reason) == ("not_responding", KillReason.NOT_RESPONDING)


def test_phases_are_microseconds_and_add_up(tmp_path: Path) -> None:
    assert explain(story(tmp_path), 1).phases == (
        Phase("inbox", 11.0),
        Phase("read", 70.0),
        Phase("judge", 41.5),
        Phase("rank", 12.0),
        Phase("strike", 9.5),
        Phase("total", 144.0),
    )


def test_the_rules_before_the_one_that_spoke_say_why_they_did_not(tmp_path: Path) -> None:
    kill = explain(story(tmp_path), 1)
    words = [rung.word for rung in kill.rungs]
    assert words == [SILENT] * 10 + [MATCHED]
    assert all(rung.lacking for rung in kill.rungs[:-1])
    critical = explain(story(tmp_path, level=Level.CRITICAL), 1)
    assert critical.rule == "not_responding"
    assert [rung.word for rung in critical.rungs] == [SILENT] * 2 + [MATCHED] + [NOT_REACHED] * 8
    assert critical.victim == kill.victim


def test_a_floor_lowered_by_a_stall_is_explained(tmp_path: Path) -> None:
    config = Config(PolicyConfig(stall_limit_critical_pct=40))
    kill = explain(story(tmp_path, config=config, psi_mem_full_avg10_centi_pct=4_150), 1)
    assert kill.min_adj == 0
    assert kill.floor_note == "0 as all tasks stall 41.50 % of the time, more than 40 %"


def test_other_triggers_and_times_are_told_as_far_as_they_are_known(tmp_path: Path) -> None:
    assert explain(story(tmp_path, trigger=2), 1).trigger == "vmpressure critical: local on /"
    assert explain(story(tmp_path, trigger=9), 1).trigger == "trigger 9, which the header does not name"
    poll = explain(story(tmp_path, trigger=ABSENT, kind=WakeupKind.POLL), 1)
    assert (poll.trigger, poll.kind) == ("poll timer", "poll")


def test_observe_mode_is_said(tmp_path: Path) -> None:
    kill = explain(story(tmp_path, observe=1), 1)
    assert kill.observe
    assert kill.victim is not None


def test_failed_strikes_leave_their_mark(tmp_path: Path) -> None:
    kill = explain(story(tmp_path, fail=(72,)), 1)
    assert (kill.attempts, kill.victim and kill.victim.pid) == (2, 71)
    everybody = story(tmp_path, fail=(71, 72))
    assert not everybody.kills
    missed = explain_record(everybody, 1)
    assert (missed.action, missed.victim, missed.attempts, missed.error, missed.death) == ("kill", None, 2, -3, None)


def test_one_line_says_when_it_was_and_that_nobody_died_where_the_daemon_only_observed(tmp_path: Path) -> None:
    told = explain(story(tmp_path), 1)
    killed = cli_story.one_line(1, told)
    assert killed.startswith("kill 1: com.example.older (pid 72")
    assert "after boot; " in killed
    observed = cli_story.one_line(1, dataclasses.replace(told, observe=True))
    assert observed.startswith("kill 1, observed only: nobody was signalled: com.example.older (pid 72")


def test_freed_memory_is_what_the_first_record_behind_the_death_shows(tmp_path: Path) -> None:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900),)
    kill = killer.wakeup(**LOW_MEM, kswapd_progress=102)
    dying = killer.wakeup(after_ms=1, mem_free_kb=30_500, victim_alive=1)
    death = Aftermath(71, kill.timings.woke_ns, kill.timings.woke_ns + 7_000_000, 0, 0)
    dead = killer.wakeup(after_ms=9, mem_free_kb=50_000, aftermath=death)
    trace = read_trace(write(tmp_path / "0001.lmkt", header(CONFIG), kill, dying, dead))
    assert explain(trace, 1).after == After(2, 10, 50_000 - kill.snapshot.mem_free_kb)


def test_a_death_that_is_not_told_is_not_made_up(tmp_path: Path) -> None:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900), make_candidate(72, 900, age=1))
    first = killer.wakeup(**LOW_MEM, kswapd_progress=102)
    only = read_trace(write(tmp_path / "0001.lmkt", header(CONFIG), first))
    assert explain(only, 1).death is None
    assert explain(only, 1).after is None
    given_up = Aftermath(71, first.timings.woke_ns, 0, 0, 0)
    second = killer.wakeup(**LOW_MEM, kswapd_progress=103, aftermath=given_up)
    both = read_trace(write(tmp_path / "0001.lmkt", header(CONFIG), first, second))
    assert explain(both, 1).death == Death(None, None, 0)
    assert explain(both, 2).death is None


def test_without_its_header_a_kill_keeps_what_the_record_holds(tmp_path: Path) -> None:
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900),)
    other = header(CONFIG, generation=9)
    kill = explain(read_trace(write(tmp_path / "0001.lmkt", other, killer.wakeup(**LOW_MEM))), 1)
    assert (kill.rungs, kill.rule, kill.floor_note) == ((), "", "")
    assert kill.realtime_ns is not None, "any header of the boot has both clocks"
    assert kill.victim is not None
    assert kill.trigger == "trigger 0, which the header does not name"


def test_a_kill_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for number in (0, 2, -1):
        with pytest.raises(NoSuchKill, match=f"found kill {number}, wanted a kill from 1 to 1"):
            explain(story(tmp_path), number)
    calm = read_trace(write(tmp_path / "0001.lmkt", header(CONFIG), PaperKiller().wakeup()))
    with pytest.raises(NoSuchKill, match="it has none"):
        explain(calm, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(policy=POLICIES, wakeups=st.lists(COUNTERS, min_size=1, max_size=15))
def test_the_rule_that_is_named_is_the_rule_that_decided(
    tmp_path: Path, policy: PolicyConfig, wakeups: list[dict[str, Any]]
) -> None:
    killer = PaperKiller(Config(policy))
    killer.candidates = tuple(make_candidate(70 + i, 950 - 50 * i) for i in range(20))
    records = [killer.wakeup(**counters) for counters in wakeups]
    trace = read_trace(write(tmp_path / "0001.lmkt", header(killer.config), *records))
    for index in range(len(records)):
        told: Explanation = explain_record(trace, index)
        if told.action == "kill" and (policy.kind != PolicyKind.AOSP_EXACT or records[index].state.first_kill_done):
            spoke = next(rung for rung in told.rungs if rung.word == MATCHED)
            assert told.rule == spoke.rule
            assert spoke.reason == told.reason
            assert spoke.min_adj == told.min_adj or told.floor_note
        elif told.action == "none":
            assert not any(rung.word == MATCHED for rung in told.rungs)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(RECORDS, min_size=1, max_size=2))
def test_a_record_of_any_numbers_can_be_explained(tmp_path: Path, records: list[Record]) -> None:
    heads = [header(CONFIG, killer_pid=one.killer_pid, generation=one.config_generation) for one in records]
    trace = read_trace(write(tmp_path / "0001.lmkt", *heads, *records))
    for index in range(len(trace.records)):
        explain_record(trace, index)
