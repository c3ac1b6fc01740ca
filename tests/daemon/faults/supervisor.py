"""Keeps a steward running as init would: whatever ends it, another one is started at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.support import REPO_ROOT


class Supervisor:
    """One `lmkd-py run` after the other, until stop(). What they say goes to `said`."""

    def __init__(self, root: Path, said: Path) -> None:
        self.root = root
        self.said = said
        self.codes: list[int] = []  # how each one ended, as Popen tells it
        self.number = 0  # of the present one; a pid may come again at once
        self._stopping = False
        self._begun = threading.Condition()
        self.process = self._start()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.said.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "lmkd_py.daemon", "run", "--root", str(self.root)],
                cwd=REPO_ROOT, stdout=out, stderr=out,
            )  # fmt: skip

    def _keep(self) -> None:
        while True:
            code = self.process.wait()
            with self._begun:
                self.codes.append(code)
                if self._stopping:
                    return
                self.process = self._start()
                self.number += 1
                self._begun.notify_all()
            if code >= 0:
                time.sleep(0.1)  # it gave up by itself: as systemd, not in a tight circle

    @property
    def pid(self) -> int:
        """Of the steward that was started last."""
        return self.process.pid

    def after(self, number: int, timeout_s: float = 30) -> int:
        """Number of the steward that was started behind that one, as soon as it is there."""
        with self._begun:
            assert self._begun.wait_for(lambda: self.number > number, timeout_s), "nobody starts another steward"
            return self.number

    def stop(self, timeout_s: float = 60) -> int:
        """SIGTERM; its exit code."""
        with self._begun:
            self._stopping = True
            self.process.terminate()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the steward does not end on SIGTERM"
        return self.codes[-1]

    def abandon(self) -> None:
        """SIGKILL, whatever state it is in."""
        with self._begun:
            self._stopping = True
            self.process.kill()
        self._thread.join(30)
