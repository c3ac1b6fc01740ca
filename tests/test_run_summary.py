"""What a run says in the end: minutes of each room, and every skip with its reason, also from workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.suite.lanes import BOARDS, PRESSURE, lane_of, room_of, waits_for_lab
from tests.support import REPO_ROOT


def run_suite(*words: str) -> str:
    """Output of a run without SUITE=all."""
    environment = {name: value for name, value in os.environ.items() if name not in ("SUITE", "CI", "SOAK")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("words", [(), ("-n1",)], ids=["alone", "worker"])
def test_what_was_skipped_is_listed_with_the_reason_and_what_to_do(words: tuple[str, ...]) -> None:
    said = run_suite(*words, "tests/tools/test_build_bpf.py", "tests/board/qemu/test_qemu_pressure.py")
    (count, total) = re.findall(r"SKIPPED: (\d+) of (\d+) tests did not run", said)[0]
    assert count == "3"
    assert count <= total
    why = "part of the long suite only"
    assert re.search(rf"^ +3  {why}.* \(2 in board, emulated, 1 in tools\)$", said, re.MULTILINE)
    assert re.search(r"^(All|Those that need root) run", said, re.MULTILINE)
    assert re.search(r"^ +\d+\.\d  board, emulated \(2 tests\)$", said, re.MULTILINE)


def test_boards_and_pressure_have_lanes_and_everything_else_is_a_piece_with_its_file() -> None:
    assert lane_of("tests/board/qemu/test_qemu.py::test_x") == BOARDS
    assert lane_of("tests/daemon/steward/killers/test_strike.py::test_x[3]") == PRESSURE  # the whole file is marked
    assert lane_of("tests/core/test_rules.py::test_x") == "tests/core/test_rules.py"
    assert room_of("tests/board/qemu/test_qemu.py::test_x[a::b]") == "board, emulated"
    assert room_of("tests/test_style.py::test_x") == "house"
    assert waits_for_lab("tests/board/qemu/test_qemu_faults.py")
    assert not waits_for_lab("tests/board/qemu/test_qemu.py")


def test_two_tests_under_pressure_never_run_at_once_and_what_else_is_in_their_files_waits_for_none(
    request: pytest.FixtureRequest,
) -> None:
    """Who hands them out knows names only and goes by the text of the files; the tests of this run have markers too."""
    under_pressure = [item.nodeid for item in request.session.items if item.get_closest_marker("pressure")]
    assert {lane_of(name) for name in under_pressure} <= {PRESSURE, BOARDS}
    stop = "tests/daemon/test_stop.py"
    assert lane_of(f"{stop}::test_what_an_orphan_recorded_is_filed_by_the_stop") == PRESSURE
    assert lane_of(f"{stop}::test_where_nothing_is_there_is_nothing_to_stop") == stop
    selftest = "tests/daemon/selftest/test_selftest.py"  # the marker under a name of its own
    assert lane_of(f"{selftest}::test_all_that_is_supported_here_holds_and_nothing_is_left") == PRESSURE
    assert lane_of(f"{selftest}::test_bad_words_are_refused_in_one_line") == selftest


def test_what_runs_in_a_soak_only_is_listed_with_what_ci_shows_of_it() -> None:
    listed = (REPO_ROOT / "CONTRIBUTING.md").read_text().partition("### What runs in `make soak` only")[2]
    for path in (REPO_ROOT / "tests").rglob("test_*.py"):
        if path.name != "test_run_summary.py" and re.search(r"mark\.soak|in_soak\(|run., repeated\(", path.read_text()):
            name = path.relative_to(REPO_ROOT).as_posix()
            assert f"`{name}`" in listed, f"CONTRIBUTING.md does not say where CI shows what {name} soaks"
