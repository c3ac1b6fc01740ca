"""The real daemon as a program, and what its trace says: for tests that put it under real pressure."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lmkd_py import analysis
from lmkd_py.analysis.contents import Loss
from lmkd_py.analysis.replay import replay
from lmkd_py.core.config import Config
from lmkd_py.kernel.protection.lasting import forget_lasting
from lmkd_py.wire.control import Reply, Verb
from lmkd_py.wire.control_client import ask
from lmkd_py.wire.header import Header, Note, Process
from lmkd_py.wire.record import Record
from tests.support import REPO_ROOT
from tests.support import wait_until as wait_until  # most tests of a daemon need both

BEGUN_BYTES = 8192  # more than a first header takes
PATIENCE_S = 60.0
BOOT = "01234567-89ab-cdef-0123-456789abcdef"  # a boot id for traces without a daemon


class Daemon:
    """One `lmkd-py run`. Ends with the test, and its killer with it."""

    def __init__(
        self,
        root: Path,
        *options: str,
        wait: bool = True,
        prefix: tuple[str, ...] = (),
        preexec: Callable[[], None] | None = None,
    ) -> None:
        """prefix: a program and its options that runs the rest, as prlimit does; preexec: see lacking.py."""
        self.root = root
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "lmkd_py.daemon", "run", "--root", str(root), *options],
            cwd=REPO_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec,
        )
        self.said: list[str] = []
        if wait:
            self._wait_armed()

    def _wait_armed(self) -> None:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE_S
        heard = b""
        while time.monotonic() < deadline:
            if select.select([fd], [], [], 0.5)[0]:
                data = os.read(fd, 65536)
                heard += data
                self.said = heard.decode().splitlines()
                if b"\narmed:" in heard and heard.endswith(b"\n"):
                    self.killer_pid = self.status().killer_pid
                    return
                if not data:
                    break
        self.process.kill()
        _, error = self.process.communicate(timeout=PATIENCE_S)
        raise AssertionError(f"not armed; exit {self.process.returncode}: {self.said} {error}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, verb: int) -> Reply:
        return ask(str(self.root), verb, PATIENCE_S)

    def status(self) -> Reply:
        return self.ask(Verb.STATUS)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Send SIGKILL to the steward alone."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """Whatever state it is in: nothing is left behind."""
        killers = {getattr(self, "killer_pid", 0)}
        if self.process.poll() is None:
            try:
                self.process.send_signal(signal.SIGCONT)
                killers.add(self.status().killer_pid)
            except OSError:
                pass
            self.process.kill()
            self.process.wait(PATIENCE_S)
        for pid in killers - {0}:
            if is_killer(pid):
                os.kill(pid, signal.SIGKILL)
        forget_lasting(str(self.root))
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None and not stream.closed:
                print(_heard(stream.fileno()), end="")  # shown with a failed test
                stream.close()


def _heard(fd: int) -> str:
    """What is in a pipe now; its other end may still be open in a process that is just being killed."""
    os.set_blocking(fd, False)
    try:
        return os.read(fd, 65536).decode(errors="replace")
    except BlockingIOError:
        return ""


def is_killer(pid: int) -> bool:
    """True while that pid is one of our daemon's processes."""
    try:
        return b"lmkd_py.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def context_switches(pids: tuple[int, ...]) -> int:
    """How often any thread of these processes has given up a CPU so far: as often as it was woken."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return total


def still(pids: tuple[int, ...], seconds: float) -> bool:
    """True if nothing has woken any of these processes for so long from now."""
    before = context_switches(pids)
    time.sleep(seconds)
    return context_switches(pids) == before


class Trace:
    """What was filed under a state root so far, of all boots, with every record decoded."""

    def __init__(self, root: Path) -> None:
        self._boots = [trace for folder in sorted(root.glob("traces/*")) if (trace := _read(folder))]
        self.headers: list[Header] = [header for trace in self._boots for header in trace.headers]
        self.records: list[Record] = [traced.record for trace in self._boots for traced in trace.records]
        self.processes: list[Process] = [process for trace in self._boots for process in trace.processes.values()]
        self.notes: list[Note] = [note for trace in self._boots for note in trace.notes]
        self.lost: list[Loss] = [loss for trace in self._boots for loss in trace.losses]

    @property
    def kills(self) -> list[Record]:
        """Records of wakeups that struck somebody, in the order of their time."""
        return sorted((each for each in self.records if each.outcome.pid), key=lambda each: each.snapshot.now_ms)

    def noted(self, kind: str) -> list[Note]:
        return [note for note in self.notes if note.kind == kind]

    def assert_replays(self) -> None:
        """Every recorded wakeup is decided the same way again, and states chain where no record is missing."""
        for trace in self._boots:
            result = replay(trace)
            assert result.agrees, (result.without_config, result.differences[:3])


def _read(folder: Path) -> analysis.Trace | None:
    """The trace of a boot; None while nothing whole is filed."""
    try:
        return analysis.open(folder)
    except analysis.TraceError:
        if sum(path.stat().st_size for path in folder.glob("*.lmkt")) > BEGUN_BYTES:
            raise
        return None


def write_config(root: Path, config: Config) -> None:
    from lmkd_py.wire.config import encode_config

    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    (root / "config.bin").write_bytes(encode_config(config))
    (root / "config.bin").chmod(0o600)
