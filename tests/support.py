"""What every test may lean on: when to skip, when to fail, and where things lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO_ROOT = Path(__file__).resolve().parent.parent
# The reference data is kept beside the checkout, not in it: here and in CI.
SHARED_DIR = REPO_ROOT.parent / "shared"

SUITE_ALL = os.environ.get("SUITE", "") == "all"
SOAK = os.environ.get("SOAK", "") == "1"  # make soak: the endurance of what CI runs in short
IS_ROOT = os.geteuid() == 0
# Where everything real has to be there: a component that is missing is a failure, not a skip.
STRICT = IS_ROOT and (SUITE_ALL or os.environ.get("CI", "") == "true")


def require(condition: object, why: str) -> None:
    """Go on only if `condition` holds: a user's test is skipped with `why`, one of CI (or SUITE=all, as root) fails.

    `why` says what is missing and what to do: "earlyoom is not here: make bench fetches it".
    """
    if condition:
        return
    if STRICT:
        pytest.fail(f"required here (CI or SUITE=all, as root): {why}", pytrace=False)
    pytest.skip(why)


def peak_kb(again: bool = False) -> int:
    """The most memory this process has had resident; `again` begins anew with what it has now."""
    if again:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
