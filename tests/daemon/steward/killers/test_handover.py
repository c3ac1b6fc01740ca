"""Who goes on when one of the two is frozen or killed, under real pressure."""

from __future__ import annotations

import itertools
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.wire.control import Request, Verb, encode_request
from lmkd_py.wire.control_client import connect
from lmkd_py.wire.record import Record
from tests.daemon.driver import Daemon, Trace, is_killer, wait_until
from tests.support import in_soak
from tools.observer import Observer

pytestmark = [pytest.mark.pressure, pytest.mark.slow]
Start = Callable[..., Daemon]


def crowd(board: Sandbox, count: int, size_mib: float = 5) -> None:
    for number in range(count):
        board.start_app(f"cached-{900 + number % 100}", 900 + number % 100, size_mib)


def dead(board: Sandbox) -> int:
    return sum(not app.is_alive() for app in board.apps)


def test_a_frozen_steward_does_not_keep_the_killer_from_killing(board: Sandbox, start: Start, tmp_path: Path) -> None:
    crowd(board, 30)
    daemon = start(board)
    os.kill(daemon.pid, signal.SIGSTOP)
    board.start_hog(0, 60, limit_mib=230)
    wait_until("12 apps are dead with the steward frozen", lambda: dead(board) >= 12)
    board.stop_pressure()
    os.kill(daemon.pid, signal.SIGCONT)
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert len(trace.kills) >= 12, "the resumed steward files what was done without it"
    trace.assert_replays()


def test_a_dead_stewards_clients_see_it_and_its_killer_goes_on(board: Sandbox, start: Start, tmp_path: Path) -> None:
    crowd(board, 30)
    daemon = start(board)
    client = connect(str(tmp_path))
    client.send(encode_request(Request(Verb.STATUS)))
    assert client.recv(65536)
    daemon.kill()
    assert select.select([client], [], [], 30)[0]
    assert client.recv(16) == b""
    client.close()
    assert is_killer(daemon.killer_pid)
    board.start_hog(0, 60, limit_mib=230)
    wait_until("10 apps are dead by the orphan's hand", lambda: dead(board) >= 10)
    board.stop_pressure()
    successor = start(board)
    assert not is_killer(daemon.killer_pid), "the orphan was ended"
    assert successor.stop() == 0
    trace = Trace(tmp_path)
    assert sum(kill.killer_pid == daemon.killer_pid for kill in trace.kills) >= 10
    assert trace.noted("handover")
    trace.assert_replays()


def test_a_dead_killer_is_soon_replaced_with_every_candidate(board: Sandbox, start: Start, tmp_path: Path) -> None:
    crowd(board, 30)
    daemon = start(board)
    candidates = daemon.status().candidates
    former = []
    with Observer() as seen:
        for _ in range(3):
            former.append(daemon.killer_pid)
            os.kill(daemon.killer_pid, signal.SIGKILL)
            wait_until("another killer is live", lambda: _other_killer(daemon, former[-1]))
            daemon.killer_pid = daemon.status().killer_pid
            assert daemon.status().candidates == candidates
            assert os.getpriority(os.PRIO_PROCESS, daemon.pid) == os.getpriority(os.PRIO_PROCESS, 0), "not in turn"
        board.start_hog(0, 60, limit_mib=230)
        wait_until("10 apps are dead", lambda: dead(board) >= 10)
        board.stop_pressure()
        exits = {event.pid: event.time_ns for event in seen.exits()}
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    started = trace.noted("killer-started")
    assert [note.number for note in started] == [*former, daemon.killer_pid]
    gaps_ns = [note.monotonic_ns - exits[pid] for pid, note in zip(former, started[1:], strict=True)]
    assert min(gaps_ns) > 0
    assert max(gaps_ns) < 1_000_000_000, gaps_ns
    assert {kill.killer_pid for kill in trace.kills} == {daemon.killer_pid}
    trace.assert_replays()


def _other_killer(daemon: Daemon, former: int) -> bool:
    status = daemon.status()
    return status.killer_pid != former and bool(status.armed)


# Without a live killer: what tells a handover from a wait on a busy machine, and what is asked for on a quiet one.
@pytest.mark.all_suite
@pytest.mark.parametrize("gap_ns", [1_000_000_000, in_soak(100_000_000)])
def test_twenty_handovers_under_pressure_never_leave_a_gap_or_take_two_for_one(
    board: Sandbox, start: Start, tmp_path: Path, gap_ns: int
) -> None:
    crowd(board, 90, 2.5)
    daemons = [start(board)]
    with Observer() as seen:
        board.start_hog(0, 6, limit_mib=235)
        for _ in range(20):
            daemons[-1].kill()
            daemons.append(start(board))
            if dead(board) > 60:
                crowd(board, 40, 2.5)
        board.stop_pressure()
        assert daemons[-1].stop() == 0
        exits = {event.pid: event.time_ns for event in seen.exits()}
    assert seen.lost == 0
    trace = Trace(tmp_path)
    handovers = trace.noted("handover")
    assert len(handovers) == 20
    for former, note in zip(daemons, handovers, strict=False):
        assert note.monotonic_ns - exits[former.killer_pid] < gap_ns
    assert_one_victim_an_event(trace.kills, exits)
    killers = {daemon.killer_pid for daemon in daemons}
    struck = [kill.victim_pid for kill in seen.kills() if kill.sender_pid in killers]
    assert struck == [kill.outcome.pid for kill in trace.kills]
    trace.assert_replays()


def assert_one_victim_an_event(kills: list[Record], exits: dict[int, int]) -> None:
    """A second strike comes only after the first victim's death, or after its kill timeout, whoever strikes."""
    for first, second in itertools.pairwise(kills):
        gap_ms = second.snapshot.now_ms - first.outcome.at_ms
        died_ms = exits[first.outcome.pid] // 1_000_000
        assert second.snapshot.now_ms + 1 >= died_ms or gap_ms >= 100, (first.outcome, second.outcome, died_ms)
