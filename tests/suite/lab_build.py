"""The kernel of the emulated board `lab`, built at the lowest priority beside the tests that do not need it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from lmkd_py.board.debs import PackageError
from lmkd_py.board.qemu import lab
from tests.suite.lanes import waits_for_lab
from tests.suite.ledger import VARIABLE
from tests.support import REPO_ROOT

NICE = 19
PATIENCE_S = 3000.0  # 10 minutes on two quiet CPUs; beside the tests it gets what they leave
LAST_LINES = 30


def log_of_this_run() -> Path:
    """Where the build of this run writes; the same for all workers."""
    return Path(tempfile.gettempdir()) / f"lmkd-lab-{os.environ.get(VARIABLE, 'alone').replace('/', '+')}.log"


class LabBuild:
    """`tools.lab_kernel` in the background, once a test is known to need it. Only in the process that starts a run."""

    def __init__(self) -> None:
        self.log = log_of_this_run()
        self._status = self.log.with_suffix(".status")
        self._process: subprocess.Popen[bytes] | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without workers: the tests are known here."""
        self._start_for(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """With workers: each says what it has collected."""
        self._start_for(ids)

    def pytest_sessionfinish(self) -> None:
        """End it if it still runs."""
        self.stop()

    def _start_for(self, ids: Iterable[str]) -> None:
        if self._process is None and any(map(waits_for_lab, {name.partition("::")[0] for name in ids})):
            self.start()

    def start(self) -> None:
        """Start it unless the kernel is there."""
        try:
            lab.image()
        except PackageError:
            build = f'"$0" -m tools.lab_kernel; echo $? >{self._status}.new; mv {self._status}.new {self._status}'
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    ["nice", f"-n{NICE}", "sh", "-c", build, sys.executable],
                    cwd=REPO_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            lower_session(self._process.pid)

    def stop(self) -> None:
        """End it if it still runs, and remove its log."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(60)
        for path in (self.log, self._status):
            path.unlink(missing_ok=True)


def lower_session(pid: int) -> None:
    """Nice counts only among the processes of one session where the scheduler groups by session (autogroup)."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))
    except OSError:  # a kernel without it
        pass


def wait_for_kernel() -> str:
    """Wait until the build of this run is over; empty, or why there is no kernel, with the end of the build's log."""
    log = log_of_this_run()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            lab.image()
            return ""
        except PackageError as error:
            why = str(error)
        if not log.exists():
            return why
        status = log.with_suffix(".status")
        if status.exists() or time.monotonic() > deadline:
            how = f"exit {status.read_text().strip()}" if status.exists() else f"not done after {PATIENCE_S:g} s"
            said = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            return "\n".join((f"tools.lab_kernel: {how}; it said last:", *said))
        time.sleep(1)
