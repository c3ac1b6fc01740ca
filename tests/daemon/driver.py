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

from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.core.decide import decide
from lmkd_py.daemon.steward.control import ask
from lmkd_py.wire.config import decode_config
from lmkd_py.wire.control import Reply, Request, Verb, decode_reply, encode_request
from lmkd_py.wire.frames import HEADER, NOTE, PROCESS, RECORD, Lost, read_frames
from lmkd_py.wire.header import Header, Note, Process, decode_header, decode_note, decode_process
from lmkd_py.wire.record import Record, unpack_record
from tests.support import REPO_ROOT

PATIENCE_S = 30.0


def wait_until(what: str, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Bounded wait; the failure says what was waited for."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain until {what}"
        time.sleep(0.02)


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
        """The steward."""
        return self.process.pid

    def ask(self, verb: int) -> Reply:
        """One request on the control socket."""
        return decode_reply(ask(str(self.root), encode_request(Request(verb)), PATIENCE_S))

    def status(self) -> Reply:
        """How things stand."""
        return self.ask(Verb.STATUS)

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL to the steward alone."""
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
    """All frames of a state root's traces, in order."""

    def __init__(self, root: Path) -> None:
        self.headers: list[Header] = []
        self.records: list[Record] = []
        self.processes: list[Process] = []
        self.notes: list[Note] = []
        self.lost: list[Lost] = []
        for path in sorted(root.glob("traces/*/*.lmkt")):
            for frame in read_frames(path.read_bytes()):
                if isinstance(frame, Lost):
                    self.lost.append(frame)
                elif frame.kind == HEADER:
                    self.headers.append(decode_header(frame.payload))
                elif frame.kind == RECORD:
                    self.records.append(unpack_record(frame.payload))
                elif frame.kind == PROCESS:
                    self.processes.append(decode_process(frame.payload))
                elif frame.kind == NOTE:
                    self.notes.append(decode_note(frame.payload))

    @property
    def kills(self) -> list[Record]:
        """Records of wakeups that struck somebody, in the order of their time."""
        return sorted((each for each in self.records if each.outcome.pid), key=lambda each: each.snapshot.now_ms)

    def noted(self, kind: str) -> list[Note]:
        """Notes of one kind."""
        return [note for note in self.notes if note.kind == kind]

    def policy_of(self, record: Record) -> PolicyConfig:
        """The config in force when a record was written."""
        for header in reversed(self.headers):
            if header.config_generation == record.config_generation:
                return decode_config(header.config).policy
        raise AssertionError(f"no header for generation {record.config_generation}")

    def assert_replays(self) -> None:
        """Every recorded wakeup is decided the same way again, and states chain where no record is missing."""
        former: dict[int, Record] = {}
        for record in self.records:
            decision = decide(record.snapshot, record.state, self.policy_of(record))
            assert decision.judgement == record.judgement, f"seq {record.seq}"
            if record.outcome.pid and record.outcome.attempts == 1:
                assert decision.victims[0].pid == record.outcome.pid, f"seq {record.seq}"
            before = former.get(record.killer_pid)
            if before is not None and before.seq + 1 == record.seq:
                assert record.state == before.judgement.state, f"seq {record.seq}"
            former[record.killer_pid] = record


def write_config(root: Path, config: Config) -> None:
    """config.bin of a root, without a board."""
    from lmkd_py.wire.config import encode_config

    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    (root / "config.bin").write_bytes(encode_config(config))
