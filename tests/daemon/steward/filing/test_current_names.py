"""Names are read again when they count: a victim is told by the name it died under."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.daemon.steward.candidates.candidates import CandidateProcess, Candidates
from lmkd_py.daemon.steward.filing import names as names_module
from lmkd_py.daemon.steward.filing.names import Names
from lmkd_py.wire.header import Process as Told
from tests.daemon.driver import Daemon, Trace, wait_until

ZYGOTE, APP = "zygote64", "org.example.bank.application"
Start = Callable[..., Daemon]


class Paper:
    """A trace that keeps what it is told, once each as the real one does."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def say(self, process: CandidateProcess) -> None:
        told = Told(process.pid, process.start_ticks, process.uid, process.name, process.cmdline, process.cgroup)
        if told not in self.told:
            self.told.append(told)


class Renamer:
    """The program of renamer.py."""

    def __init__(self, size: int = 0) -> None:
        program = [sys.executable, str(Path(__file__).parent / "renamer.py"), str(size)]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.become(ZYGOTE)

    def become(self, name: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "renamed\n"

    def die(self) -> None:
        """End it; it stays a zombie."""
        self.process.kill()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def renamer() -> Iterator[Renamer]:
    """A zygote's child before it is an application."""
    made = Renamer()
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.fixture
def known(renamer: Renamer) -> tuple[Names, Paper, CandidateProcess]:
    """It is registered, and nothing has been written yet."""
    candidates, trace = Candidates(8, 4), Paper()
    names = Names(candidates, trace.say)
    process = candidates.register(renamer.pid, os.getuid(), 900)
    assert process is not None
    names.add([process])
    return names, trace, process


Known = tuple[Names, Paper, CandidateProcess]


def test_who_dies_young_is_never_written_down(known: Known, renamer: Renamer, monkeypatch: pytest.MonkeyPatch) -> None:
    names, trace, process = known
    names.tend()
    assert trace.told == []
    assert 0 < names.patience_s(-1) <= names_module.SETTLED_S
    names.candidates.remove(process.pid)
    now = time.monotonic()
    monkeypatch.setattr(names_module, "monotonic", lambda: now + names_module.SETTLED_S)
    names.tend()
    assert trace.told == []
    assert names.patience_s(-1) == -1


def test_who_has_lived_for_a_while_is_written_down_once(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    names, trace, process = known
    now = time.monotonic()
    monkeypatch.setattr(names_module, "monotonic", lambda: now + names_module.SETTLED_S)
    names.tend()
    (told,) = trace.told
    assert (told.pid, told.name, told.cmdline) == (process.pid, ZYGOTE, ZYGOTE)
    assert told.cgroup.startswith("/")
    assert names.patience_s(-1) == -1


class Counting(dict[tuple[int, int], tuple[float, CandidateProcess]]):
    """Counts how many of its items somebody has looked at."""

    looked_at = 0

    def items(self) -> Iterator[tuple[tuple[int, int], tuple[float, CandidateProcess]]]:  # type: ignore[override]
        for item in super().items():
            self.looked_at += 1
            yield item


def test_a_turn_does_not_look_at_all_who_are_young(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, trace = Candidates(8, 4), Paper()
    names = Names(candidates, trace.say)
    young = names._young = Counting()
    names.add([CandidateProcess(number, 0, 900, -1, 7, "app") for number in range(5000)])
    for _ in range(10):
        names.tend()
    assert young.looked_at == 10
    now = time.monotonic()
    monkeypatch.setattr(names_module, "monotonic", lambda: now + names_module.SETTLED_S)
    names.tend()
    assert not young


def test_when_memory_is_short_names_are_read_again(known: Known, renamer: Renamer) -> None:
    names, trace, _ = known
    names.settle()
    renamer.become(APP)
    names.read_again()
    assert [(told.name, told.cmdline) for told in trace.told] == [(ZYGOTE, ZYGOTE), (APP[-15:], APP)]


def test_while_it_stays_short_they_are_not_read_each_time(
    known: Known, renamer: Renamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, trace, _ = known
    names.read_again()
    renamer.become(APP)
    names.read_again()
    assert trace.told[-1].name == ZYGOTE
    later = time.monotonic() + names_module.AGAIN_S
    monkeypatch.setattr(names_module, "monotonic", lambda: later)
    names.read_again()
    assert trace.told[-1].cmdline == APP


def test_a_victim_has_its_last_comm_and_the_last_command_line_that_was_read(known: Known, renamer: Renamer) -> None:
    names, trace, process = known
    renamer.become(APP)
    names.read_again()
    renamer.become("org.example.bank.settings")
    renamer.die()
    names.tell(process.pid, process.start_ticks, True)
    assert trace.told[-1].name == "org.example.bank.settings"[-15:]
    assert trace.told[-1].cmdline == APP
    assert trace.told[-1].cgroup


def test_whoever_has_the_pid_now_is_not_taken_for_the_victim(known: Known, renamer: Renamer) -> None:
    names, trace, process = known
    names.settle()
    names.candidates.remove(process.pid)
    renamer.become(APP)
    names.tell(process.pid, process.start_ticks - 1, True)
    assert len(trace.told) == 1


@pytest.mark.all_suite
@pytest.mark.pressure
def test_an_application_that_renamed_itself_after_registration_dies_under_its_own_name(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    daemon = start(board)
    late = Renamer(16 << 20)
    try:
        for place in board.place.places:
            Path(place).write_text(str(late.pid))
        Path(f"/proc/{late.pid}/oom_score_adj").write_text("930")
        wait_until("it is known", lambda: daemon.status().candidates == 1)
        late.become(APP)
        board.start_hog(0, 60)
        wait_until("it is dead", lambda: late.process.poll() is not None)
        board.stop_pressure()
        assert daemon.stop() == 0
    finally:
        late.process.kill()
        late.process.communicate()
    told = [each for each in Trace(tmp_path).processes if each.pid == late.pid][-1]
    assert told.name == APP[-15:]
    assert told.cgroup.endswith(board.name)
