"""The daemon under test: started as one does, asked over its socket, its trace read from the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from ...core.config import Config, DiscoveryConfig, DomainConfig, MonitorConfig, PolicyConfig, TraceConfig
from ...kernel.acting.syscalls import PR_SET_PDEATHSIG, pidfd_open, pidfd_send_signal, prctl
from ...wire.config import encode_config
from ...wire.control import Reply, Verb
from ...wire.control_client import ask
from ...wire.frames import RECORD, STRIKE, Frame, read_frames
from ...wire.header import Strike, decode_strike
from ...wire.record import Record, unpack_record
from ..environment import ENVIRONMENT, PACKAGE_PARENT
from .careless import SPOILT
from .group import Group

ARM_S = 90.0
STOP_S = 30.0
# Kills as fast as they can be had, of whoever is at VICTIM_ADJ or above.
POLICY = PolicyConfig(thrashing_limit_pct=2, thrashing_limit_decay_pct=0, thrashing_limit_critical_pct=300)
VICTIM_ADJ = 900


class DaemonFailed(Exception):
    """The daemon did not come up, or is gone; its own words."""


class TestedDaemon:
    """Started with the state root `root`; guards `group`."""

    def __init__(self, root: str, group: Group, careless: bool) -> None:
        self.root = root
        self.monitor = MonitorConfig(
            domain=DomainConfig(group.kind, group.memory, group.psi if group.psi != group.memory else ""),
            discovery=DiscoveryConfig(scan_min_adj=VICTIM_ADJ),
            trace=TraceConfig(every=1),
        )
        os.mkdir(root, 0o700)
        # Whatever the umask: the daemon refuses what others may write to.
        fd = os.open(os.path.join(root, "config.bin"), os.O_WRONLY | os.O_CREAT, 0o600)
        with open(fd, "wb") as file:
            file.write(encode_config(Config(POLICY, self.monitor)))
        words = [sys.executable, "-m", "lmkd_py.daemon", "run", "--root", root]
        if careless:
            bare = [sys.executable, "-I", "-S", "-E", "-X", "no_debug_ranges"]
            words = [*bare, "-c", SPOILT, PACKAGE_PARENT, *words[3:]]
        self.process = subprocess.Popen(
            words,
            cwd=PACKAGE_PARENT,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": PACKAGE_PARENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_die_with_us,
        )
        self.reply = self._wait_armed()
        self.killer_pid = self.reply.killer_pid
        self.killer_fd = pidfd_open(self.killer_pid)

    def _wait_armed(self) -> Reply:
        deadline = time.monotonic() + ARM_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                assert self.process.stderr is not None
                said = self.process.stderr.read().decode("utf-8", "replace").strip()
                raise DaemonFailed(said or f"the daemon ended with {self.process.returncode}")
            try:
                reply = self.status()
            except OSError:
                time.sleep(0.05)
                continue
            if reply.armed:
                return reply
            time.sleep(0.05)
        raise DaemonFailed(f"the daemon was not armed within {ARM_S:g} s")

    def status(self) -> Reply:
        return ask(self.root, Verb.STATUS)

    def freeze(self) -> None:
        """Steward and killer stop, in this order, and are seen to have stopped."""
        for pid in (self.process.pid, self.killer_pid):
            os.kill(pid, signal.SIGSTOP)  # both are ours and not collected: the numbers are theirs
            while _state(pid) not in "TZX":
                time.sleep(0.001)

    def thaw(self) -> None:
        """Continue killer and steward with SIGCONT."""
        for pid in (self.killer_pid, self.process.pid):
            os.kill(pid, signal.SIGCONT)

    def frames(self) -> tuple[list[Record], list[Strike]]:
        """All wakeups and all strikes in the kernel that are filed by now."""
        records, strikes = [], []
        for place, _, names in os.walk(os.path.join(self.root, "traces")):
            for name in sorted(names):
                with open(os.path.join(place, name), "rb") as file:
                    data = file.read()
                for frame in read_frames(data):
                    if isinstance(frame, Frame) and frame.kind == RECORD:
                        records.append(unpack_record(frame.payload))
                    elif isinstance(frame, Frame) and frame.kind == STRIKE:
                        strikes.append(decode_strike(frame.payload))
        return records, strikes

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if pidfd_send_signal(self.killer_fd, 0) == 0:
            pidfd_send_signal(self.killer_fd, signal.SIGKILL)
        os.close(self.killer_fd)
        return code


def _die_with_us() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
