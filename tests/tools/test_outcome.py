"""The outcome suite on the host: which runs there are, what the file holds, who has won, and the table."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.board.qemu.profile import PROFILES
from lmkd_py.board.workloads.catalog import WORKLOADS
from tools.outcome.bars import BARS, kills
from tools.outcome.field import profile_of, recovery_s
from tools.outcome.killers import KILLERS, parse
from tools.outcome.plot import scatter
from tools.outcome.ratio import Interval, Verdict, bootstrap, judge, ratio, verdict
from tools.outcome.report import report
from tools.outcome.runs import Cell, append, cells, read, to_do

VALUES = st.lists(st.floats(0.1, 1000), min_size=1, max_size=8)
RUN: dict[str, Any] = {
    "workload": "game", "killer": "kernel", "profile": "board", "run": 1, "commit": "abc", "load": [1.0, 1.2],
    "deaths": [["cached-916", 412, 916, 9, 4.0, "kernel"]], "wrong": [], "calm": True, "done_s": 30.0, "short_s": 10.0,
    "last_stall_s": 14.0, "recovery_s": 4.0, "some_s": 6.0, "full_s": 5.0, "oom_kills": 1, "refault_anon": 100,
    "refault_file": 7, "cpu_ms": 0, "rss_kb": 0, "pss_kb": 0, "trace_bytes": 0, "progress": {"served_mib": 224},
}  # fmt: skip


def test_a_profile_may_have_a_condition() -> None:
    assert cells(["game:kernel:new+lru"], WORKLOADS, KILLERS, ["board", "new+lru"]) == [
        Cell("game", "kernel", "new+lru")
    ]
    assert profile_of("new+lru") is PROFILES["new"]
    assert "### game on new+lru (256 MiB" in report([{**RUN, "profile": "new+lru"}])


@given(VALUES, VALUES)
def test_an_interval_lies_within_what_the_runs_allow(ours: list[float], theirs: list[float]) -> None:
    low, high = bootstrap(ours, theirs)
    assert low <= high
    assert low >= min(ours) / max(theirs) * (1 - 1e-9)
    assert high <= max(ours) / min(theirs) * (1 + 1e-9)


@given(VALUES, VALUES, st.sampled_from([0.25, 2.0, 8.0]))
def test_an_interval_scales_with_the_values_and_is_the_same_each_time(
    ours: list[float], theirs: list[float], times: float
) -> None:
    interval = bootstrap(ours, theirs)
    assert bootstrap(ours, theirs) == interval
    assert bootstrap([each * times for each in ours], theirs) == pytest.approx([each * times for each in interval])
    assert bootstrap([each * times for each in ours], [each * times for each in theirs]) == pytest.approx(interval)


@given(VALUES, VALUES, st.floats(0, 10))
def test_worse_runs_never_turn_a_loss_into_a_win(ours: list[float], theirs: list[float], more: float) -> None:
    better, worse = bootstrap(ours, theirs), bootstrap([each + more for each in ours], theirs)
    assert worse.low >= better.low
    assert worse.high >= better.high
    order = (Verdict.WON, Verdict.LEVEL, Verdict.LOST)
    assert order.index(judge(worse, 1.0)) >= order.index(judge(better, 1.0))


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0, 10))
def test_a_verdict_says_on_which_side_of_the_bar_the_interval_lies(one: float, other: float, bar: float) -> None:
    low, high = sorted((one, other))
    found = judge(Interval(low, high), bar)
    assert (found is Verdict.WON) == (high <= bar)
    assert (found is Verdict.LOST) == (low > bar)
    assert (found is Verdict.LEVEL) == (low <= bar < high)


def test_the_same_numbers_are_level_only_when_they_vary_and_few_runs_decide_nothing() -> None:
    assert verdict([5, 5, 5], [5, 5, 5], 1.0) is Verdict.WON  # at most as many, for certain
    assert verdict([6, 6, 6], [5, 5, 5], 1.0) is Verdict.LOST
    assert verdict([6, 6, 6], [5, 5, 5], 1.0, plus=1) is Verdict.WON
    assert verdict([3, 9, 6], [5, 7, 6], 1.0) is Verdict.LEVEL
    assert verdict([1, 1], [9, 9, 9], 1.0) is Verdict.NONE


def test_nothing_is_no_more_than_nothing_and_something_is_more_than_any_multiple_of_it() -> None:
    assert ratio(0, 0) == 0
    assert ratio(1, 0) == math.inf
    assert verdict([0, 0, 0], [0, 0, 0], 0.8) is Verdict.WON
    assert verdict([1, 1, 1], [0, 0, 0], 100.0) is Verdict.LOST
    with pytest.raises(ValueError, match="wanted values"):
        bootstrap([], [1.0])
    with pytest.raises(ValueError, match="wanted values"):
        bootstrap([-1.0], [1.0])


def test_cells_are_named_by_patterns_and_a_name_that_fits_nothing_is_an_error() -> None:
    every = (WORKLOADS, KILLERS, ("board", "small"))
    assert cells(["game:kernel"], *every) == [Cell("game", "kernel", "board")]
    assert cells(["game:kernel:small", "game:kernel:*"], *every) == [
        Cell("game", "kernel", "small"), Cell("game", "kernel", "board"),
    ]  # fmt: skip
    assert len(cells(["*:*:board"], *every)) == len(WORKLOADS) * len(KILLERS)
    for wrong in ("games:kernel", "game", "game:kernel:bord", "a:b:c:d"):
        with pytest.raises(ValueError, match="names no cell"):
            cells([wrong], *every)


def test_runs_go_in_turns_and_those_in_the_file_are_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "new" / "runs.jsonl"
    wanted = cells(["game:*", "leak:kernel"], WORKLOADS, KILLERS, ("board",))
    left = to_do(wanted, 3, read(file), seed=1)
    assert Counter(number for _, number in left) == dict.fromkeys((1, 2, 3), len(wanted))
    assert [number for _, number in left] == sorted(number for _, number in left)
    assert len({tuple(cell for cell, each in left if each == number) for number in (1, 2, 3)}) == 3  # in other orders
    for cell, number in left[:4]:
        append(file, {**RUN, **cell._asdict(), "run": number})
    cell, number = left[4]
    append(file, {**RUN, **cell._asdict(), "run": number, "failed": "no answer"})
    assert to_do(wanted, 3, read(file), seed=1) == left[4:]


def test_a_torn_last_line_is_no_run_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    append(file, RUN)
    with file.open("a") as torn:
        torn.write(json.dumps(RUN)[:40])
    assert read(file) == [RUN]
    append(file, {**RUN, "run": 2})
    assert [run["run"] for run in read(file)] == [1, 2]


def test_nobody_has_recovered_who_never_got_all_or_whose_stalls_went_on() -> None:
    assert recovery_s(RUN) == 4.0
    assert recovery_s({**RUN, "done_s": 0.0}) == -1.0
    assert recovery_s({**RUN, "calm": False}) == -1.0
    assert recovery_s({**RUN, "short_s": 0.0}) == 0.0


def test_a_killer_of_the_users_has_a_name_and_a_command() -> None:
    found = parse("lmkd=/opt/lmkd --psi 'a b'", "socket:/dev/socket/lmkd")
    assert (found.name, found.command, found.marker) == ("lmkd", ("/opt/lmkd", "--psi", "a b"), "lmkd")
    assert found.register == "socket:/dev/socket/lmkd"
    for wrong in ("lmkd", "lmkd=", "=lmkd"):
        with pytest.raises(ValueError, match="NAME=COMMAND"):
            parse(wrong, "")


def test_every_workload_has_bars_and_only_kills_count() -> None:
    assert set(BARS) == set(WORKLOADS)
    assert kills({**RUN, "deaths": [["a", 7, 900, 9, 1.0, "killer"], ["b", 8, 900, -1, 2.0, "itself"]]}) == 1


def test_the_table_says_that_one_run_is_a_direction_and_what_few_runs_cannot_decide() -> None:
    steady = {**RUN, "killer": "steady", "rss_kb": 1000, "pss_kb": 24_900, "cpu_ms": 4200, "trace_bytes": 81_000}
    text = report([RUN, steady])
    assert "**one run: direction only**" in text
    assert "under load" not in text
    assert "; at least 5 must die to serve the foreground)" in text
    assert (
        "| kernel | 1 | 1 (1) | 0 | 1/1, 1/1 | 1/1 | 4.0 | 6.0 / 5.0 | 100 / 7 | - | - | - | served_mib 224 |" in text
    )
    assert "| 4.2 | 24.9 | 81 | served_mib 224 |" in text
    assert "won" not in text
    busy = report([{**RUN, "run": 1, "load": [1.0, 8.0]}, {**RUN, "run": 2}, {**RUN, "run": 3, "failed": "no answer"}])
    assert "**under load: direction only**" in busy
    assert "one run" not in busy
    assert "game:kernel:board run 3: no answer" in busy


def test_the_overview_says_how_many_died_and_what_is_worse_than_that() -> None:
    dead = [["cached-916", 412, 916, 9, 4.0, "killer"], ["game-0", 413, 0, 9, 4.0, "killer"]]
    runs = [
        RUN,
        {**RUN, "killer": "steady", "deaths": dead, "wrong": ["game-0"], "done_s": 0},
        {**RUN, "workload": "thrash", "killer": "steady", "done_s": 0},
    ]
    first, _, rest = report(runs).partition("### game on board")
    assert [line.split(" | ") for line in first.splitlines() if line.startswith("| game")] == [
        ["| game", "2, 1 wrong, front died", "1 |"]
    ]
    assert "| thrash | 1, not served |  |" in first
    assert "| workload | steady | kernel |" in first
    assert rest


def test_the_table_judges_a_killer_of_ours_against_kernel_and_best_peer() -> None:
    peers = [
        {**RUN, "killer": killer, "run": run, "some_s": some}
        for killer, some in (("kernel", 1.0), ("earlyoom", 4.0), ("nohang", 10.0))
        for run in (1, 2, 3)
    ]
    ours = [{**RUN, "killer": "steady", "run": run, "some_s": 3.0, "oom_kills": 0} for run in (1, 2, 3)]
    (line,) = (line for line in report([*peers, *ours]).splitlines() if line.startswith("- steady"))
    assert line == (
        "- steady: kills <= kernel's + 1: **won**; kernel's kills = 0: **won**; stall <= 0.8 of best peer's: **won**"
    )
    slow = [{**run, "some_s": 3.3} for run in ours]
    assert "best peer's: **lost**" in report([*peers, *slow])


def test_the_plot_has_a_point_a_run_and_a_name_a_killer() -> None:
    runs = {"kernel": [RUN, {**RUN, "run": 2, "some_s": 9.0}], "a<b": [{**RUN, "deaths": []}]}
    root = ElementTree.fromstring(scatter("game", runs, 5))
    points = [(float(each.get("cx", "")), float(each.get("cy", ""))) for each in root.findall("{*}circle")]
    assert len(points) == 3
    assert points[0][0] == points[1][0] > points[2][0]  # nobody died in the last one
    assert points[0][1] == points[2][1] > points[1][1]  # the second one stalled longer: it lies higher
    assert {"kernel", "a<b", "game"} <= {each.text for each in root.findall("{*}text")}
    assert len(list(root.findall("{*}path"))) == 2
