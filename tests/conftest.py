"""Fixtures and rules for the whole suite: markers that need root or SUITE=all, one line of what to do about skips."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lmkd_py.board.qemu.machine import QEMU
from tests.support import IS_ROOT, REPO_ROOT, SHARED_DIR, SUITE_ALL, require

# The machine may be under pressure by our own hand: no test of ours is judged by a clock.
settings.register_profile("lmkd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lmkd")

MANY_FILES = 65536


def pytest_configure() -> None:
    """Thousands of candidates need their descriptors; the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Directory of the checkout."""
    return REPO_ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Directory `shared` beside the checkout (oracle, reference data)."""
    require(SHARED_DIR.is_dir(), f"no {SHARED_DIR.name}/ beside the checkout: the recorded reference data lies there")
    return SHARED_DIR


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give the markers of pyproject.toml their meaning."""
    needs_board = item.get_closest_marker("board")
    if (needs_board or item.get_closest_marker("all_suite")) and not SUITE_ALL:
        pytest.skip("runs with SUITE=all only")
    if needs_board:
        require(shutil.which(QEMU), f"{QEMU} is not here: apt-get install --no-install-recommends qemu-system-arm")
    if mark := item.get_closest_marker("root"):
        require(IS_ROOT, f"{mark.args[0]}: needs root")
    if item.get_closest_marker("pressure"):
        require(IS_ROOT, "makes real memory pressure in a memory cgroup: needs root")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once what would make the skipped tests run."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if not skipped:
        return
    if not IS_ROOT:
        todo = "run as root for those that need root, with SUITE=all for the longest ones: sudo make test SUITE=all"
    elif not SUITE_ALL:
        todo = "the longest ones run with: make test SUITE=all"
    else:
        todo = "each line below says what was missing"
    terminalreporter.write_line(f"{skipped} tests were skipped, listed below: {todo}", yellow=True)
