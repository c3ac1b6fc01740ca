"""Registrations and removals by the hundred thousand, of processes that take over each other's pids, under fire."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.kernel.acting.process import read_stat
from tests.support import REPO_ROOT
from tools.observer import KILL, Kill, Observer

pytestmark = [pytest.mark.pressure, pytest.mark.slow]

PROGRAMS = REPO_ROOT / "tests" / "daemon"
BARE = [sys.executable, "-I", "-S", "-E", "-B"]
LIVE = 48
PIPE_BYTES = 4096  # holds some 300 births: what is read from it is mostly still alive
VICTIMS, VICTIM_MIB = 24, 4
PATIENCE_S = 500


@contextmanager
def churning(root: Path, registrations: int, kills: int) -> Iterator[subprocess.Popen[bytes]]:
    """A breeder of short-lived processes, and a steward that registers and removes them."""
    import fcntl

    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    breeder = subprocess.Popen([*BARE, str(PROGRAMS / "breeder.py"), str(LIVE)], stdin=subprocess.PIPE, stdout=write)
    os.close(write)
    command = [*BARE, str(PROGRAMS / "churn.py"), str(REPO_ROOT), str(root), str(registrations), str(kills), str(read)]
    churn = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(read,))
    os.close(read)
    try:
        yield churn
    finally:
        for program in (churn, breeder):
            if program.stdin is not None:
                program.stdin.close()
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        assert churn.stdout is not None
        churn.stdout.close()


class ChurnOutput:
    """What the churning steward says, by the first word of each line."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.rest = b""
        self.lines: dict[str, list[list[str]]] = {}

    def listen(self, seconds: float) -> bool:
        """Take in what arrives; False at end of file."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        data = os.read(self.fd, 65536)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            word, *rest = line.decode().split()
            self.lines.setdefault(word, []).append(rest)
        return bool(data)


class Pressure:
    """Batches of victims and a hog after them, over and over."""

    def __init__(self, board: Sandbox, churn: subprocess.Popen[bytes]) -> None:
        assert churn.stdin is not None
        self.board = board
        self.orders = churn.stdin
        self.victims: list[App] = []
        self.started = 0

    def go_on(self) -> None:
        """A new batch once most of the last one is dead."""
        if sum(app.is_alive() for app in self.victims) > 2:
            return
        self.board.stop_pressure()
        for app in self.victims:
            if app.is_alive():
                self.board.end(app)
        self.victims = []
        for number in range(self.started, self.started + VICTIMS):
            app = self.board.start_app(f"v{number}", 930 + number % 60, VICTIM_MIB)
            self.victims.append(app)
            start = read_stat(app.pid).start_ticks
            self.orders.write(f"{app.pid} {start} {app.adj}\n".encode())
        self.orders.flush()
        self.started += VICTIMS
        self.board.start_hog(0, 80)


def run(board: Sandbox, root: Path, registrations: int, kills: int) -> tuple[ChurnOutput, list[Kill]]:
    """Churn until both numbers are reached: what the steward said, and the killer's SIGKILLs as the kernel saw them."""
    board.write_root(
        str(root),
        Config(monitor=board.monitor_config(discovery={"scan": 0, "sized_candidates": 64}, trace={"ring_slots": 4096})),
    )
    with Observer((KILL,)) as seen, churning(root, registrations, kills) as churn:
        assert churn.stdout is not None
        output = ChurnOutput(churn.stdout.fileno())
        while "armed" not in output.lines:
            assert output.listen(30), "the churning steward ended early"
        pressure = Pressure(board, churn)
        deadline = time.monotonic() + PATIENCE_S
        while output.listen(0.05):
            assert time.monotonic() < deadline, output.lines.get("progress", [])[-1:]
            if "done" not in output.lines:
                pressure.go_on()
            seen.drain()
        board.stop_pressure()
        killer = int(output.lines["armed"][0][1])
        strikes = [kill for kill in seen.kills() if kill.sender_pid == killer]
    assert seen.lost == 0
    assert "done" in output.lines, "the churning steward broke"
    return output, strikes


def churn_and_check(board: Sandbox, root: Path, registrations: int, kills: int) -> None:
    output, strikes = run(board, root, registrations, kills)
    numbers, left = [int(word) for word in output.lines["done"][0][:6]], output.lines["done"][0][6:]
    registered, removed, recycled, _, lost, held = numbers
    assert registered >= registrations
    assert removed >= registrations
    assert recycled >= registered // 5000, "too few processes came under a pid that another one had had"
    assert lost == 0
    killed = [(int(pid), names.split("|")) for pid, names, _ in output.lines["killed"]]
    assert len(killed) >= kills
    # The record names pid and start time, the steward knew who that was, the kernel says who was struck.
    assert [pid for pid, _ in killed] == [strike.victim_pid for strike in strikes]
    for (pid, names), strike in zip(killed, strikes, strict=True):
        assert strike.victim_comm[0] in "cv", f"{strike.victim_comm} (pid {pid}) is none of ours"
        assert strike.victim_comm in names, f"pid {pid}: {strike.victim_comm} was struck, registered were {names}"
    for _, name, at_ns in output.lines.get("spared", []):
        late = [strike for strike in strikes if strike.victim_comm == name and strike.time_ns > int(at_ns)]
        assert not late, f"{name} was struck after it had been removed"
    assert held == 0
    at_first, at_last = ([Counter(fds.split(",")) for fds in both] for both in (output.lines["armed"][0][2:], left))
    assert at_last[0] == at_first[0], "the steward left descriptors open"
    assert at_last[1] == at_first[1], "the killer left descriptors open"


@pytest.mark.all_suite
def test_every_victim_is_the_process_its_record_named(board: Sandbox, tmp_path: Path) -> None:
    churn_and_check(board, tmp_path, registrations=20_000, kills=30)


@pytest.mark.all_suite
def test_a_million_registrations_under_five_hundred_kills(board: Sandbox, tmp_path: Path) -> None:
    churn_and_check(board, tmp_path, registrations=1_000_000, kills=500)
