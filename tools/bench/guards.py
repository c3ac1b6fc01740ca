"""The killers under test, each behind the same four words: start, its threads that strike, its processes, stop."""

from __future__ import annotations

import glob
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import Protocol

from lmkd_py.core.config import Config, MonitorConfig, PolicyConfig, with_settings
from lmkd_py.wire.config import encode_config
from tools.bench.arena import Arena

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ARMED = re.compile(rb"armed: killer (\d+)")
START_S = 30
# What our killer reads at each wake-up in a v1 memory cgroup, and so what the C loop reads. Checked against the
# daemon's open files when the bench runs.
MEMCG_FILES = ("memory.usage_in_bytes", "memory.failcnt", "memory.numa_stat", "memory.limit_in_bytes")
PSI_FILES = ("memory.pressure", "io.pressure", "cpu.pressure")
# Open but not read: events are registered on the first two, the others serve where there is swap.
UNREAD = ("pressure_level", "oom_control", "memsw.limit_in_bytes", "memsw.usage_in_bytes")


class Guard(Protocol):
    """A killer that guards the arena while it runs."""

    label: str

    def start(self) -> None:
        """Until it is armed. RuntimeError with its words if it does not come up."""

    def tids(self) -> list[int]:
        """Ids of the threads that may send the signal."""

    def processes(self) -> list[int]:
        """Pids of all its processes."""

    def stop(self) -> None: ...


def c_loop_files(arena: Arena) -> list[str]:
    """What the C loop reads: the files our killer reads in this domain."""
    place = arena.board.place
    memcg = [os.path.join(place.memory, name) for name in MEMCG_FILES]
    above = os.path.dirname(place.memory)
    root = os.path.exists(os.path.join(above, "release_agent"))  # the root cgroup has no limit
    parent = [] if root else [os.path.join(above, "memory.limit_in_bytes")]
    nodes = sorted(glob.glob("/sys/devices/system/node/node*/vmstat"))
    return [*memcg, *parent, *nodes, *(os.path.join(place.psi, name) for name in PSI_FILES)]


def open_files(pid: int) -> set[str]:
    """Paths of the kernel's files that a process holds open and reads, those of candidates left out."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if path.startswith(("/proc/", "/sys/")) and not re.match(r"/proc/\d+/", path) and not path.endswith(UNREAD):
            found.add(path)
    return found


class CLoop:
    """tools/bench/c/c_loop.c: the same wake-ups and reads without an interpreter and without the policy."""

    label = "C loop of the same reads"

    def __init__(self, arena: Arena, thrashing_pct: int) -> None:
        self.arena = arena
        self.thrashing_pct = thrashing_pct
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        place = self.arena.board.place
        self._process = subprocess.Popen(
            [self.arena.program("c_loop"), place.memory, place.psi, str(self.thrashing_pct), *c_loop_files(self.arena)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"armed\n":
            raise RuntimeError("the C loop does not start")
        self._tell(self.arena.crowd.roll())
        self.arena.crowd.listeners.append(self._tell)

    def _tell(self, lines: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(lines)
        self._process.stdin.flush()

    def tids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]

    processes = tids

    def stop(self) -> None:
        if self._process is None:
            return
        self.arena.crowd.listeners.remove(self._tell)
        self._process.kill()
        self._process.communicate()
        self._process = None


class Daemon:
    """lmkd-py as a user starts it, on a state root of its own."""

    label = "lmkd-py"

    def __init__(self, monitor: MonitorConfig, policy: PolicyConfig, python: str = "") -> None:
        self.config = Config(policy, with_settings(monitor, trace={"every": 1}))  # each wakeup is measured
        self.python = python or sys.executable
        self.said: list[str] = []
        self.killer = 0
        self.traces: list[str] = []
        self._root: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> str:
        assert self._root is not None
        return self._root.name

    def command(self, root: str) -> list[str]:
        """How it is started on a state root, in the directory of the checkout."""
        return [self.python, "-m", "lmkd_py.daemon", "run", "--root", root]

    def write_config(self, root: str) -> None:
        """Puts its configuration into a state root."""
        fd = os.open(os.path.join(root, "config.bin"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "wb") as stream:
            stream.write(encode_config(self.config))

    def start(self) -> None:
        if self._root is None:
            self._root = tempfile.TemporaryDirectory(prefix="lmkd-bench-root-")
            self.write_config(self.root)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(
            self.command(self.root),
            bufsize=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env=environment,
        )
        self.said, self.killer = [], 0
        end = time.monotonic() + START_S
        while not self.killer:
            line = self._line(end)
            self.said.append(line.decode("utf-8", "replace").rstrip())
            found = ARMED.search(line)
            if found:
                self.killer = int(found[1])

    def _line(self, end: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            line = self._process.stdout.readline()
            if line:
                return line
        self._process.kill()
        self._process.wait()
        raise RuntimeError("lmkd-py does not start: " + " | ".join(self.said))

    def tids(self) -> list[int]:
        return [self.killer]

    def processes(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid, self.killer]

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def trace_files(self) -> list[str]:
        """Traces written so far, oldest first."""
        found = [
            os.path.join(place, name)
            for place, _, names in os.walk(os.path.join(self.root, "traces"))
            for name in names
        ]
        return sorted(found, key=os.path.getmtime)

    def forget(self) -> None:
        if self._root is not None:
            self._root.cleanup()
            self._root = None
