"""What every test may lean on: when to skip, when to fail, and where things lie."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

REPO_ROOT = Path(__file__).resolve().parent.parent
ORACLE_CASES = REPO_ROOT / "tests/data/oracle/cases.jsonl.gz"  # recorded decisions of AOSP's lmkd

SUITE_ALL = os.environ.get("SUITE", "") == "all"
SOAK = os.environ.get("SOAK", "") == "1"  # make soak: the tests marked `soak`, and no others
FEW_EXAMPLES = os.environ.get("EXAMPLES", "") == "few"  # a second run of the same tests, on another Python
IS_ROOT = os.geteuid() == 0
# Of tests that make no pressure in it: they need not wait for those that do (tests/suite/lanes.py).
needs_cgroup = pytest.mark.root("makes a memory cgroup")
# Where everything real has to be there: a component that is missing is a failure, not a skip.
STRICT = IS_ROOT and (SUITE_ALL or os.environ.get("CI", "") == "true")
PATIENCE_S = 180.0  # ends what hangs; says nothing about how long anything may take
T = TypeVar("T")


def wait_until(
    what: str, condition: Callable[[], T], patience_s: float = PATIENCE_S, seen: Callable[[], object] | None = None
) -> T:
    """Wait until `condition` is true, and return its value.

    `what` completes the sentence "waited in vain until ..."; `seen` is asked what was there instead.
    """
    deadline = time.monotonic() + patience_s
    pause_s = 0.01
    while not (value := condition()):
        if time.monotonic() > deadline:
            found = f"; found: {seen()}" if seen else ""
            raise AssertionError(f"waited {patience_s:g} s in vain until {what}{found}")
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 0.05)
    return value


def require(condition: object, why: str) -> None:
    """Go on only if `condition` holds: a user's test is skipped with `why`, one of CI (or SUITE=all, as root) fails.

    `why` says what is missing and what to do: "earlyoom is not here: make bench fetches it".
    """
    if condition:
        return
    if STRICT:
        pytest.fail(f"required here (CI or SUITE=all, as root): {why}", pytrace=False)
    pytest.skip(why)


def in_soak(*values: object) -> ParameterSet:
    """A set of parameters for `make soak` alone."""
    return pytest.param(*values, marks=pytest.mark.soak)


def repeated(always: int, in_ci: int, in_soak: int) -> list[ParameterSet]:
    """Values of a parameter `run`: the first `always` for every run, up to `in_ci` for CI, the rest for `make soak`."""
    return [
        *(pytest.param(run) for run in range(always)),
        *(pytest.param(run, marks=pytest.mark.all_suite) for run in range(always, in_ci)),
        *(pytest.param(run, marks=pytest.mark.soak) for run in range(in_ci, in_soak)),
    ]


def peak_kb(again: bool = False) -> int:
    """The most memory this process has had resident; `again` begins anew with what it has now."""
    if again:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
