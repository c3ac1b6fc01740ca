"""Thousands of registered processes: the kill path does the same, counted, and the descriptors are as promised."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox, replace_file
from lmkd_py.core.config import Config
from lmkd_py.kernel.acting.syscalls import getrlimit_nofile
from tests.daemon.crowd import sleepers
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.support import require
from tools.observer import KILL, Observer

pytestmark = [pytest.mark.pressure, pytest.mark.slow]

VICTIMS, KILLS, TIER = 30, 12, 950
OTHER_TIERS = range(300, 800, 7)
SYSCALL = "raw_syscalls:sys_enter"
SIZED = 256


class Guarded(NamedTuple):
    """A domain with its victims, and a daemon that knows a crowd beside them."""

    board: Sandbox
    daemon: Daemon
    apps: list[App]
    crowd: list[tuple[int, int]]


@contextmanager
def guarded(board: Sandbox, root: Path, count: int, *prefix: str) -> Iterator[Guarded]:
    """`count` registered processes, 30 of them in the domain and in the most expendable tier."""
    with sleepers(count - VICTIMS, OTHER_TIERS) as crowd:
        apps = [board.start_app(f"victim-{number}", TIER, 5) for number in range(VICTIMS)]
        board.write_root(str(root), Config(monitor=board.monitor_config(discovery={"scan": 0})))
        lines = [f"{pid} 0 {adj}\n" for pid, adj in crowd] + [f"{app.pid} {app.uid} {app.adj}\n" for app in apps]
        replace_file(str(root / "procs"), "".join(lines).encode())
        daemon = Daemon(root, prefix=prefix)
        try:
            yield Guarded(board, daemon, apps, crowd)
        finally:
            daemon.end()
            for app in apps:
                if app.is_alive():
                    board.end(app)


def press(guard: Guarded) -> None:
    guard.board.start_hog(0, 60)
    wait_until(f"{KILLS} are dead", lambda: sum(not app.is_alive() for app in guard.apps) >= KILLS)
    guard.board.stop_pressure()


def pinned(pid: int) -> int:
    """How many files oom_score_adj a process holds."""
    folder = f"/proc/{pid}/fd"
    return sum(os.readlink(f"{folder}/{fd}").endswith("/oom_score_adj") for fd in os.listdir(folder))


class Walked(NamedTuple):
    """What the kill path did in one run: its system calls from each wake-up to the signal, candidates, descriptors."""

    calls: list[tuple[tuple[int, int], ...]]
    considered: list[int]
    fds: int


def run(board: Sandbox, root: Path, count: int) -> Walked:
    with guarded(board, root, count) as guard:
        daemon = guard.daemon
        assert daemon.status().candidates == count
        wait_until("all are pinned", lambda: pinned(daemon.killer_pid) >= count)
        fds = len(os.listdir(f"/proc/{daemon.killer_pid}/fd"))
        filters = {SYSCALL: f"common_pid=={daemon.killer_pid}"}  # the thread that decides and strikes
        with Observer((KILL, SYSCALL), filters=filters, kib=16384) as seen:
            press(guard)
        assert daemon.stop() == 0
        assert seen.lost == 0
        alive = [os.path.exists(f"/proc/{pid}") for pid, _ in guard.crowd]
        assert all(alive), "a process of another tier was struck"
    trace = Trace(root)
    trace.assert_replays()
    strikes = [kill for kill in seen.kills() if kill.sender_pid == daemon.killer_pid]
    assert [kill.victim_pid for kill in strikes] == [record.outcome.pid for record in trace.kills]
    entered = seen.events(SYSCALL)
    calls = []
    for record, strike in zip(trace.kills, strikes, strict=True):
        woke_ns = record.timings.woke_ns
        numbers = Counter(int(event.fields["id"]) for event in entered if woke_ns <= event.time_ns <= strike.time_ns)
        calls.append(tuple(sorted(numbers.items())))
    return Walked(calls, [record.candidates_considered for record in trace.kills], fds)


@pytest.mark.all_suite
def test_the_kill_path_does_not_grow_with_processes_outside_the_chosen_tier(board: Sandbox, tmp_path: Path) -> None:
    _, hard = getrlimit_nofile()
    require(hard >= 11_000, f"RLIMIT_NOFILE is {hard}: 5,000 candidates need 11,000 while they are handed over")
    few = run(board, tmp_path / "few", 50)
    many = run(board, tmp_path / "many", 5000)
    assert len(few.calls) >= KILLS
    assert len(many.calls) >= KILLS
    # A wake-up may carry news from the steward too, and another trigger is another read; which of them is the most
    # common depends on the pressure, but the most common of one run is among those of the other.
    assert Counter(many.calls).most_common(1)[0][0] in few.calls
    assert Counter(few.calls).most_common(1)[0][0] in many.calls
    assert 0 < min(sum(dict(calls).values()) for calls in many.calls) <= 40
    assert max(many.considered) <= max(few.considered) < VICTIMS
    # pidfd and oom_score_adj each; statm of the 256 most expendable; all else does not depend on how many there are.
    assert few.fds - (2 * 50 + 50) == many.fds - (2 * 5000 + SIZED)


@pytest.mark.all_suite
def test_a_small_descriptor_limit_refuses_the_excess_and_keeps_the_most_expendable(
    board: Sandbox, tmp_path: Path
) -> None:
    require(shutil.which("prlimit"), "needs prlimit (util-linux)")
    limit = 1024
    with guarded(board, tmp_path, 900, "prlimit", f"--nofile={limit}:{limit}") as guard:
        daemon = guard.daemon
        status = daemon.status()
        assert VICTIMS <= status.candidates < 900
        for pid in (daemon.pid, daemon.killer_pid):
            assert len(os.listdir(f"/proc/{pid}/fd")) < limit - 64, "too little is left for what comes and goes"
        press(guard)
        assert daemon.status().killer_pid == daemon.killer_pid, "the killer ended on the way"
        assert daemon.stop() == 0
        alive = [os.path.exists(f"/proc/{pid}") for pid, _ in guard.crowd]
        assert all(alive)
    trace = Trace(tmp_path)
    refused = [note for note in trace.noted("refused") if "RLIMIT_NOFILE" in note.text]
    assert refused
    assert len(refused) <= 5, "one note for all of them, not one for each"
    assert {record.outcome.pid for record in trace.kills} <= {app.pid for app in guard.apps}
    assert len(trace.kills) >= KILLS
    trace.assert_replays()
