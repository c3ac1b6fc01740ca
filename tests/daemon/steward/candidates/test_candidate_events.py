"""When candidates are looked at: at whom something happened to, rarely at everybody, and never again and again."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.steward.candidates import candidate_events
from lmkd_py.daemon.steward.candidates.candidate_events import GAP_S, SCAN_GAP_S, CandidateEvents
from lmkd_py.daemon.steward.candidates.candidates import Candidates
from lmkd_py.daemon.steward.candidates.discovery import Discovery
from lmkd_py.kernel.bpf import BpfRefused
from tests.daemon.driver import wait_until


class Source:
    def __init__(self, complete: bool) -> None:
        self.complete = complete
        self.fd, self._ring = os.pipe2(os.O_NONBLOCK)
        self.pids: set[int] = set()
        self.lost = False
        self.drains = 0
        self.renamed: set[int] = set()

    def happen(self, *pids: int, lost: bool = False) -> None:
        self.pids |= set(pids)
        self.lost = self.lost or lost
        os.write(self._ring, b".")

    def drain(self) -> tuple[set[int], bool]:
        self.drains += 1
        with suppress(BlockingIOError):
            os.read(self.fd, 4096)
        found, self.pids, self.lost = (self.pids, self.lost), set(), False
        return found

    def mark(self, pids: object) -> None:
        pass

    def mark_anew(self, pids: object) -> None:
        pass

    def close(self) -> None:
        pass

    def is_blurred(self) -> bool:
        return False


class Everybody:
    """A domain whose members the test gives."""

    kind = 1

    def __init__(self, *pids: int) -> None:
        self.pids = list(pids)

    def members(self) -> list[int]:
        return self.pids

    def among(self, pids: set[int]) -> set[int]:
        return pids & set(self.pids)

    def placed(self) -> None:
        return None


Make = Callable[..., tuple[CandidateEvents, Source]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """make(*members, complete=True) -> events of a source that the test feeds, begun."""
    made: list[CandidateEvents] = []

    def begin(*members: int, complete: bool = True) -> tuple[CandidateEvents, Source]:
        source = Source(complete)
        monkeypatch.setattr(CandidateEvents, "_open", lambda _: source)
        discovery = Discovery(str(tmp_path), Candidates(64, 8), Everybody(*members), True, 0)  # type: ignore[arg-type]
        events = CandidateEvents(discovery)
        events.begin()
        made.append(events)
        return events, source

    yield begin
    for events in made:
        events.discovery.close()


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process that the scan can find."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


def turn(events: CandidateEvents, longest_s: float = 1.0) -> bool:
    """One turn as the steward takes it; True if anything came."""
    with select.epoll() as outer:
        outer.register(events.fd, select.EPOLLIN)
        came = bool(outer.poll(events.patience_s(longest_s)))
    if came:
        events.serve()
    events.tend()
    return came


def killer(calls: int = 0, kills: int = 0, demoted: bool = False) -> SimpleNamespace:
    words = dict.fromkeys(range(64), 0)
    words[layout.CALLS], words[layout.KILLS] = calls, kills
    return SimpleNamespace(pid=7, shared=SimpleNamespace(words=words), demoted=lambda: demoted)


def test_whom_something_happened_to_is_looked_at_and_nobody_else(make: Make, sleeper: int) -> None:
    events, source = make()
    events.discovery.domain.pids = [sleeper, os.getppid()]  # type: ignore[attr-defined]
    source.happen(sleeper)
    assert turn(events)
    assert list(events.discovery.candidates.processes) == [sleeper]
    assert (events.looks, events.scans) == (1, 1)


def test_who_has_left_is_no_candidate_any_more(make: Make, sleeper: int) -> None:
    events, source = make(sleeper)
    assert sleeper in events.discovery.candidates.processes
    events.discovery.domain.pids = []  # type: ignore[attr-defined]
    source.happen(sleeper)
    assert turn(events)
    assert not events.discovery.candidates.processes


def test_nothing_is_due_while_nothing_happens(make: Make, sleeper: int) -> None:
    events, _ = make(sleeper)
    assert events.patience_s(-1) == -1
    assert not turn(events, 0.05)
    assert events.patience_s(-1) == -1


def test_however_much_happens_it_is_listened_to_ten_times_a_second(make: Make) -> None:
    events, source = make()
    began = time.monotonic()
    turns = 0
    # Where others leave little CPU, a turn takes longer than the pause between two looks.
    while (passed_s := time.monotonic() - began) < 1.0 or (turns <= 2 * source.drains and passed_s < 30):
        source.happen(1)
        turn(events, 0.001)
        turns += 1
    assert source.drains <= (time.monotonic() - began) / GAP_S + 1
    assert turns > 2 * source.drains
    assert events.scans == 1


def test_lost_events_are_made_up_for_by_one_look_at_everybody(make: Make, sleeper: int) -> None:
    events, source = make()
    events.discovery.domain.pids = [sleeper]  # type: ignore[attr-defined]
    for _ in range(5):
        source.happen(lost=True)
        turn(events, 0.2)
    wait_until("everybody was looked at", lambda: turn(events, 0.1) or events.scans == 2)
    assert sleeper in events.discovery.candidates.processes
    assert events.patience_s(-1) == -1


def test_events_that_do_not_tell_all_are_followed_by_a_look_at_everybody_a_second_later(
    make: Make, sleeper: int
) -> None:
    events, source = make(complete=False)
    assert events.patience_s(-1) > 5, "and somebody looks now and then anyhow"
    events.discovery.domain.pids = [sleeper]  # type: ignore[attr-defined]
    source.happen(1)
    assert turn(events)
    assert 0 <= events.patience_s(-1) <= 1
    wait_until("everybody was looked at", lambda: turn(events, 0.1) or events.scans == 2)
    assert sleeper in events.discovery.candidates.processes


def test_a_verdict_that_finds_nobody_is_followed_by_a_look_at_once(make: Make, sleeper: int) -> None:
    events, _ = make()
    events.discovery.domain.pids = [sleeper]  # type: ignore[attr-defined]
    events.after_records(killer(calls=1, kills=1))  # type: ignore[arg-type]
    assert events.scans == 1, "the list is current, and somebody was found"
    time.sleep(GAP_S)
    events.after_records(killer(calls=2, kills=1))  # type: ignore[arg-type]
    assert events.scans == 2
    assert sleeper in events.discovery.candidates.processes


def test_where_events_tell_everything_nobody_is_looked_for_as_long_as_kills_find_somebody(make: Make) -> None:
    events, source = make()
    assert events.complete
    time.sleep(SCAN_GAP_S)
    assert not events.after_records(killer(calls=1, kills=1)), "names are told, too"  # type: ignore[arg-type]
    assert events.patience_s(-1) > SCAN_GAP_S
    source.complete = False
    assert events.after_records(killer(calls=2, kills=2))  # type: ignore[arg-type]
    assert events.scans == 2


def test_when_the_killer_read_an_adj_that_it_was_not_told_everybody_is_looked_at_first(
    make: Make, sleeper: int
) -> None:
    events, _ = make(sleeper)
    Path(f"/proc/{sleeper}/oom_score_adj").write_text("700")
    events.after_records(killer(demoted=True))  # type: ignore[arg-type]
    assert events.discovery.candidates.processes[sleeper].adj == 700


@pytest.mark.parametrize("answered", [True, False])
def test_a_kick_that_stays_unanswered_is_followed_by_a_look(make: Make, sleeper: int, answered: bool) -> None:
    events, _ = make()
    kicks, ring = os.pipe()
    events.heed_kicks(SimpleNamespace(kick_fd=kicks, unanswered=lambda: not answered))  # type: ignore[arg-type]
    events.discovery.domain.pids = [sleeper]  # type: ignore[attr-defined]
    os.write(ring, b".")
    assert turn(events)
    assert events.scans == 1
    deadline = time.monotonic() + 0.5 if answered else time.monotonic() + 30
    while events.scans == 1 and time.monotonic() < deadline:
        turn(events, 0.05)
    assert events.scans == (1 if answered else 2)
    os.close(kicks)
    os.close(ring)


def test_a_domain_that_is_gone_is_not_looked_at_again_and_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> list[int]:
        raise FileNotFoundError(errno.ENOENT, "no such cgroup")

    events, source = make()
    monkeypatch.setattr(events.discovery.domain, "members", gone)
    monkeypatch.setattr(events.discovery.domain, "among", lambda _: gone())
    source.happen(1, lost=True)
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        turn(events, 0.2)
    assert events.scans <= 4
    assert not events.discovery.short


def test_where_moves_are_not_told_the_age_of_the_last_look_at_the_members_is(make: Make) -> None:
    events, _ = make(complete=False)
    now_ms = int(time.monotonic() * 1000)
    assert 0 <= events.members_age_ms(now_ms) < 30_000
    assert events.members_age_ms(now_ms + 500) == events.members_age_ms(now_ms) + 500
    strike_ms = now_ms
    events.scan()
    assert events.members_age_ms(strike_ms) == events.members_age_ms(now_ms), "a later look does not count"
    told, _ = make(complete=True)
    assert told.members_age_ms(now_ms) == -1


def test_it_is_said_how_candidates_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BpfRefused("no BPF on Tuesdays")

    monkeypatch.setattr(candidate_events, "watch_processes", refuse)
    monkeypatch.setattr("lmkd_py.kernel.sensing.proc_connector.ProcConnector.__init__", refuse)
    discovery = Discovery(str(tmp_path), Candidates(64, 8), Everybody(), True, 0)  # type: ignore[arg-type]
    events = CandidateEvents(discovery)
    events.begin()
    assert events.note.startswith("candidates: looked for every 10 s: ")
    assert "no BPF on Tuesdays" in events.note
    assert not events.complete
    assert 0 < events.patience_s(-1) <= 10
    discovery.scanning = False
    events.watch()
    assert events.note == "candidates: those that are registered"
    discovery.close()


def test_where_births_were_not_told_kernel_threads_are_looked_at_again(make: Make) -> None:
    events, _ = make()
    events.discovery.kernel_threads.add(2)
    events.scan()
    assert events.discovery.kernel_threads == {2}
    events.watch()  # births in between were not told
    assert events.discovery.kernel_threads == set()


def test_a_helper_of_the_kernel_that_has_executed_its_program_is_looked_at(make: Make, sleeper: int) -> None:
    """Until then it passed for a kernel thread (before Linux 5.19); the exec is told as another name."""
    events, source = make()
    events.discovery.domain.pids = [sleeper]  # type: ignore[attr-defined]
    events.discovery.kernel_threads.add(sleeper)
    source.renamed.add(sleeper)
    source.happen()
    assert turn(events)
    assert sleeper in events.discovery.candidates.processes
