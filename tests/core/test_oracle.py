"""The policy against the recorded decisions of AOSP's lmkd, and the checker against itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.core.vocabulary import PolicyKind
from tests.core.relabel import relabelled
from tests.support import ORACLE_CASES, REPO_ROOT
from tools.oracle.case import read_cases
from tools.oracle.record import record
from tools.oracle.sample import samples
from tools.oracle.tally import check

SAMPLE = ORACLE_CASES.parent / "sample.jsonl"
CHECKER = REPO_ROOT / "tools" / "check_oracle.py"
KINDS = [PolicyKind.AOSP_EXACT, PolicyKind.AOSP_MENDED]


def run_checker(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CHECKER, *arguments], capture_output=True, text=True, check=False)


def recorded_cases(every: int, first: int = 0) -> Iterator[dict[str, Any]]:
    for number, case in enumerate(read_cases(ORACLE_CASES)):
        if number % every == first:
            yield case


@pytest.mark.parametrize("every", [16, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.all_suite])])
@pytest.mark.parametrize("compat", ["aosp", "improved"])
def test_recorded_decisions_agree(compat: str, every: int, tmp_path: Path) -> None:
    some = tmp_path / "cases.jsonl"
    if every > 1:
        some.write_text("".join(json.dumps(case) + "\n" for case in recorded_cases(every)))
    done = run_checker(some if every > 1 else ORACLE_CASES, "--compat", compat)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree (100 %)" in done.stdout


@pytest.mark.parametrize("compat", ["aosp", "improved"])
def test_our_own_sample_agrees(compat: str) -> None:
    done = run_checker(SAMPLE, "--compat", compat)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:6] for line in done.stdout.splitlines()[:11]] == [f"row {row:2d}" for row in range(1, 12)]
    assert ("0 skipped" in done.stdout) == (compat == "aosp")


def test_the_sample_is_what_its_source_makes_and_fires_every_row() -> None:
    made = samples()
    assert json.loads(json.dumps(made)) == list(read_cases(SAMPLE))
    reasons = {kill["reason"] for case in made for entry in case["evals"] for kill in entry.get("kills", ())}
    assert reasons >= set(range(10))
    assert {1007, 2200} <= reasons


@pytest.mark.parametrize("kind", KINDS)
def test_ids_pids_and_the_unit_of_memory_do_not_matter(kind: int) -> None:
    for case in recorded_cases(every=100, first=kind):
        for page_kb in (4, 16, 64):
            result = check(relabelled(case, page_kb), kind)
            assert not result.difference, result.difference


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page_kb", [4, 16, 64])
def test_nor_do_they_in_our_own_sample(kind: int, page_kb: int) -> None:
    for case in samples():
        result = check(relabelled(case, page_kb), kind)
        assert not result.difference, result.difference


def test_relabelling_changes_what_it_says() -> None:
    case = samples()[0]
    other = relabelled(case, 16)
    (old,) = (kill for entry in case["evals"] for kill in entry.get("kills", ()))
    (new,) = (kill for entry in other["evals"] for kill in entry.get("kills", ()))
    assert (new["id"], new["rss_kb"]) == (1000 - old["id"] * 7, 4 * old["rss_kb"])
    assert other["init"]["mi"]["MemFree"] == 4 * case["init"]["mi"]["MemFree"]


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "t": lambda e: e["t"] + 1,
    "out": lambda e: "pending",
    "wait": lambda e: e["wait"] + 1,
    "hold": lambda e: 1 - e["hold"],
    "zi": lambda e: e.get("zi", 0) + 1,
    "scan": lambda e: [1],
    "lvl": lambda e: "critical",
}


@pytest.mark.parametrize("field", WRONG)
def test_the_checker_notices_any_recorded_difference(field: str, tmp_path: Path) -> None:
    case = samples()[0]
    entry = next(e for e in case["evals"] if e.get("kills") and "wait" in e)
    entry[field] = WRONG[field](entry)
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps(case) + "\n")
    done = run_checker(path)
    assert done.returncode == 1
    assert "low-mem entry 12" in done.stdout
    assert "100 %" not in done.stdout


@pytest.mark.parametrize("field", ["id", "adj", "floor", "reason", "desc", "rss_kb", "swap_kb", "thr", "max_thr"])
def test_the_checker_notices_any_difference_of_a_kill(field: str) -> None:
    case = samples()[0]
    kill = next(e["kills"][0] for e in case["evals"] if e.get("kills"))
    kill[field] = "x" if field == "desc" else kill[field] + 1
    assert check(case, PolicyKind.AOSP_EXACT).difference


def test_the_checker_notices_decisions_too_many_or_too_few() -> None:
    case = samples()[0]
    assert check({**case, "evals": case["evals"][:-1]}, PolicyKind.AOSP_EXACT).difference
    more = [*case["evals"], case["evals"][-1]]
    assert check({**case, "evals": more}, PolicyKind.AOSP_EXACT).difference


def test_improved_is_compared_up_to_the_first_effect_of_a_mended_defect() -> None:
    case = next(case for case in samples() if "defect_at" in case)
    at = case["defect_at"]["any"]
    result = check(case, PolicyKind.AOSP_MENDED)
    assert not result.difference
    assert result.skipped == len(case["evals"]) - at
    wrong = check({**case, "defect_at": {"any": at + 1}}, PolicyKind.AOSP_MENDED)
    assert f"entry {at}" in wrong.difference


def test_a_repetition_stands_for_that_many_evaluations() -> None:
    case = samples()[0]
    bails = [i for i, e in enumerate(case["evals"]) if e["out"] == "bail" and e.get("wait") == 100]
    first, last = bails[0], next(i for i in bails if i + 1 not in bails)
    short = [
        *case["evals"][:first],
        {**case["evals"][first], "rep": [last - first + 1, 100]},
        *case["evals"][last + 1 :],
    ]
    assert len(short) < len(case["evals"])
    assert not check({**case, "evals": short}, PolicyKind.AOSP_EXACT).difference


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no scenarios"),
        (b"{}\n", ":1: not a decision scenario"),
        (b"[1]\n", ":1: not a decision scenario"),
        (b"\n{broken\n", ":2: "),
        (b"\x1f\x8b\x08broken", "after line 0"),
        (b"\xff\xfe", "after line 0"),
    ],
)
def test_an_unusable_file_is_one_clear_line_and_exit_2(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    done = run_checker(path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"check_oracle: {path}")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert run_checker(tmp_path / "missing").returncode == 2


def test_recording_what_we_do_agrees_with_what_we_do() -> None:
    for case in samples():
        again = record(case)
        assert again["evals"] == case["evals"]
        assert not check(again, PolicyKind.AOSP_EXACT).difference
