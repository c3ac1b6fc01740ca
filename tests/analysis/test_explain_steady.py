"""A kill of STEADY is told with the room, the windows and the wait behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmkd_py.analysis.explain import explain, explain_record
from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.rungs import MATCHED, SILENT
from lmkd_py.cli.story import full
from lmkd_py.core.config import Config
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, WakeupKind
from lmkd_py.wire.record import Record
from tests.analysis.paper import PaperKiller, header, write
from tests.core.steady_board import BOARD, MIB
from tests.core.values import STEADY, make_candidate

from lmkd_py.analysis.trace import Trace, read_trace  # isort: skip

CONFIG = Config(STEADY)
ZRAM = {"swap_free_kb": 3 * MIB, "zram_stored_kb": 93 * MIB, "zram_used_kb": 30 * MIB, "zram_swap_kb": 192 * MIB}


def told(path: Path, killer: PaperKiller, *records: Record) -> Trace:
    trace = read_trace(write(path / "0001.lmkt", header(killer.config), *records))
    result = replay(trace)
    assert result.agrees, result.differences
    return trace


def killer_of(*adjs: int) -> PaperKiller:
    killer = PaperKiller(CONFIG)
    killer.candidates = tuple(make_candidate(70 + row, adj, 2000, age=row) for row, adj in enumerate(adjs))
    return killer


def test_a_kill_for_room_says_how_much_there_was_and_of_what(tmp_path: Path) -> None:
    killer = killer_of(900, 0)
    kill = explain(told(tmp_path, killer, killer.wakeup(**{**BOARD, **ZRAM, "mem_free_kb": 4 * MIB})), 1)
    parts = "0.0 free above the low watermark, 2.0 of file cache, 2.0 that swap frees at 3.1:1"
    assert (kill.rule, kill.reason, kill.min_adj) == ("exhausted", KillReason.EXHAUSTED, 201)
    assert kill.text == f"room 4.0 MiB, reserve 6.7 MiB: {parts}"
    assert [rung.word for rung in kill.rungs] == [MATCHED, "not reached"]
    (condition,) = kill.rungs[0].conditions
    assert (condition.wanted, condition.found) == (
        "less room than the reserve of 6.7 MiB",
        f"it was 4.0 MiB: {parts}",
    )


def stalls(killer: PaperKiller, seconds: int, **changes: Any) -> list[Record]:
    """One wakeup a second; in each second tasks wait for 30 % of the time and 9,000 pages come back."""
    records = []
    for second in range(seconds):
        counters = {**BOARD, "swap_free_kb": 100 * MIB, "psi_mem_some_total_us": 300_000 * second + 1}
        counters["refault_anon_pages"] = 9000 * second + 1
        records.append(killer.wakeup(1000, **{**counters, **changes}))
    return records


def test_a_kill_for_stall_says_what_the_windows_were_like(tmp_path: Path) -> None:
    killer = killer_of(900, 0)
    trace = told(tmp_path, killer, *stalls(killer, 3))
    kill = explain(trace, 1)
    assert (kill.rule, kill.reason, kill.min_adj) == ("stalled", KillReason.STALLED, 701)
    assert kill.text == (
        "tasks wait for memory 30% of the time, 137 permille of RAM a second are read back; room 104.0 MiB"
    )
    before = explain_record(trace, 1)
    assert [rung.word for rung in before.rungs] == [SILENT, SILENT]
    (lack,) = before.rungs[1].lacking
    assert lack.found == "1, the last with 30 % and 137 permille"


def test_without_psi_the_rule_says_that_no_window_ends(tmp_path: Path) -> None:
    killer = killer_of(900)
    trace = told(tmp_path, killer, *stalls(killer, 3, psi_mem_some_total_us=ABSENT))
    found = [lack.found for lack in explain_record(trace, 2).rungs[1].lacking]
    assert found == [
        "none did",
        "no window has ended since the last kill, or there is no PSI, or a cgroup has no refaults of its own",
    ]


def test_a_wait_and_a_floor_of_0_have_their_reason(tmp_path: Path) -> None:
    killer = killer_of(100)
    short = {**BOARD, "mem_free_kb": 4 * MIB}
    records = [killer.wakeup(**short) for _ in range(8)]
    kill = explain(told(tmp_path, killer, *records), 1)
    assert (kill.min_adj, kill.floor_note) == (0, "0 as nobody of adj 201 or more was found for 700 ms")
    killer = killer_of(*[900] * 6)
    killer.config = Config(STEADY._replace(futile_kills_max=0))
    trace = told(tmp_path, killer, *stalls(killer, 15))
    held = [index for index, one in enumerate(trace.records) if one.record.judgement.action == Action.HELD]
    note = explain_record(trace, held[0]).floor_note
    assert note == "nobody is killed for 1000 ms more: the last 3 STALLED kills did not reduce refaults"


def test_a_vendors_request_is_told_by_the_ladder_that_serves_it(tmp_path: Path) -> None:
    killer = killer_of(900)
    request = {"kind": WakeupKind.VENDOR, "level": ABSENT, "vendor_reason": 7, "vendor_min_adj": 900}
    kill = explain(told(tmp_path, killer, killer.wakeup(**{**BOARD, **request})), 1)
    assert (kill.rule, kill.text) == ("vendor_kill", "vendor kill with the reason 1007, min_score_adj 900")


def test_who_goes_before_others_for_its_size_is_replayed(tmp_path: Path) -> None:
    killer = killer_of(950, 910, 900)
    killer.candidates = (*killer.candidates, make_candidate(80, 905, 5999)._replace(swap_pages=1))
    kill = explain(told(tmp_path, killer, killer.wakeup(**{**BOARD, "mem_free_kb": 0})), 1)
    assert [one.pid for one in kill.victims] == [80, 70, 71, 72]


def test_a_victim_that_went_first_for_its_size_is_told_with_whom_it_went_before(tmp_path: Path) -> None:
    killer = killer_of(950, 901)
    first, leaker = killer.candidates
    killer.candidates = (first._replace(swap_pages=10), leaker._replace(swap_pages=5000))
    kill = explain(told(tmp_path, killer, killer.wakeup(**{**BOARD, "mem_free_kb": 4 * MIB})), 1)
    assert [(one.pid, one.size_kb, one.swap_kb) for one in kill.victims] == [(71, 8000, 20_000), (70, 8000, 40)]
    assert kill.passed_over == kill.victims[1]
    words = " ".join(" ".join(full(1, 1, kill)).split())
    assert "adj 901, 8000 kB and 20000 kB of swap)" in words
    assert "goes before (no name) (pid 70, adj 950, 8000 kB and 40 kB of swap), which is next in line" in words


def test_a_victim_in_its_turn_was_put_before_nobody(tmp_path: Path) -> None:
    killer = killer_of(950, 901)
    kill = explain(told(tmp_path, killer, killer.wakeup(**{**BOARD, "mem_free_kb": 4 * MIB})), 1)
    assert (kill.passed_over, kill.victims[0].swap_kb) == (None, None)
