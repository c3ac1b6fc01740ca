"""Rules of the whole suite: markers that need root or SUITE=all, workers, and what a run says in the end."""

from __future__ import annotations

import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lmkd_py.board.qemu.profile import QEMU
from tests.suite import lanes, turns
from tests.suite.lab_build import LabBuild
from tests.suite.leftovers import Watch
from tests.suite.run_summary import RunSummary
from tests.support import FEW_EXAMPLES, IS_ROOT, REPO_ROOT, SOAK, SUITE_ALL, require

# The machine may be under pressure by our own hand: no test of ours is judged by a clock.
settings.register_profile("lmkd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("lmkd"), max_examples=10)
settings.load_profile("few" if FEW_EXAMPLES else "lmkd")

MANY_FILES = 65536


def pytest_addoption(parser: pytest.Parser) -> None:
    """An option for the tests of this very file."""
    parser.addini("leftovers_patience_s", "how long what is ending may take at the end of a run", default="20")


def pytest_configure(config: pytest.Config) -> None:
    """Limits and signals as tests expect them; what is done once a run is done by the process that started it."""
    # A shell's background jobs ignore SIGINT, and so do their children: daemons that a test interrupts, too.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _raise_file_limit()
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        if getattr(config.option, "numprocesses", None):  # a limit of time ends the run in order, like ^C
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        config.pluginmanager.register(Watch(float(config.getini("leftovers_patience_s"))), "leftovers")
        config.pluginmanager.register(RunSummary(), "run_summary")
        if SUITE_ALL or SOAK:
            config.pluginmanager.register(LabBuild(), "lab_build")


def _raise_file_limit() -> None:
    """Thousands of candidates need their descriptors; the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@pytest.fixture(autouse=True, scope="session")
def own_adb_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests keeps their ADB key to themselves: the tests make their own when they need one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_USER_HOME", str(tmp_path_factory.mktemp("android")))
        patch.delenv("ADB_VENDOR_KEYS", raising=False)
        yield


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return REPO_ROOT


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make soak` runs the tests marked `soak` and no others; every other run leaves them out."""
    left_out = [item for item in items if bool(item.get_closest_marker("soak")) != SOAK]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if bool(item.get_closest_marker("soak")) == SOAK]
    items[:] = lanes.in_order(items, hasattr(config, "workerinput"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """How tests are handed to workers."""
    return lanes.scheduler(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Where there are workers, a test marked `alone` waits until no other runs."""
    run = getattr(item.config, "workerinput", {}).get("testrunuid")
    if run is None:
        return (yield)
    with turns.turn(run, item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing stays of the turns that workers took."""
    run = getattr(session.config, "workerinput", {}).get("testrunuid")
    if run is not None:
        turns.tidy(run)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give the markers of pyproject.toml their meaning."""
    needs_board = item.get_closest_marker("board")
    if (needs_board or item.get_closest_marker("all_suite")) and not (SUITE_ALL or SOAK):
        pytest.skip("part of the long suite only: SUITE=all make test")
    if needs_board:
        require(shutil.which(QEMU), f"{QEMU} is not here: apt-get install --no-install-recommends qemu-system-arm")
    if mark := item.get_closest_marker("root"):
        require(IS_ROOT, f"{mark.args[0]}: needs root")
    if item.get_closest_marker("pressure"):
        require(IS_ROOT, "makes real memory pressure in a memory cgroup: needs root")
