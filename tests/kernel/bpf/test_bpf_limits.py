"""Whom the strike spares: neighbours, recycled pids, everybody once it is disarmed or its lease has run out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.bpf import VARIANT_LIST, AttachedProgram, Guard, Order, layout, unpin
from lmkd_py.kernel.sensing.mounts import mount_points
from tests.kernel.bpf_tools import LIMIT_MIB, close, guarded, load, rows_of, start_ticks, wait_events
from tests.support import REPO_ROOT, wait_until

pytestmark = [pytest.mark.pressure, pytest.mark.all_suite]


@contextmanager
def witness_of(board: Sandbox, cache: Path) -> Iterator[Guard]:
    """A second program on the same domain that only counts: reclaim goes on, whatever the first one does."""
    with guarded(board, cache) as (guard, _):
        guard.arm(layout.KICK_ONLY)
        yield guard


def test_a_neighbours_reclaim_strikes_nobody(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, _):
        listed = [board.start_app(f"listed-{number}", 900, 0.5) for number in range(3)]
        guard.publish(rows_of(listed))
        guard.arm(layout.STRIKE)  # and nobody answers
        with Sandbox(LIMIT_MIB) as neighbour, witness_of(neighbour, tmp_path) as witness:
            neighbour.start_thrashers(2)
            wait_events(witness, 1000)
        assert guard.counters()[1:] == (0,) * 6
        assert all(app.is_alive() for app in listed)
        board.start_thrashers(2)  # its own reclaim does: the program was there all the time
        wait_until("3 rows are used up", lambda: guard.head() == 3)
        assert [strike.pid for strike in guard.strikes(0)] == [app.pid for app in listed]


def test_a_thrashing_cgroup_is_no_direct_reclaim_of_the_whole_system(tmp_path: Path) -> None:
    """Free memory is always below this limit: only the kind of reclaim keeps it quiet. It could kick, not strike."""
    attached = load(Order("", limit_events=1, free_limit_pages=1 << 40), tmp_path)
    guard = Guard(attached)
    try:
        with Sandbox(LIMIT_MIB) as neighbour, witness_of(neighbour, tmp_path) as witness:
            before = direct_reclaims()  # the machine's own; none where nobody else is short
            guard.arm(layout.KICK_ONLY)
            neighbour.start_thrashers(2)
            wait_events(witness, 1000)
            told = guard.counters()
            assert told.events <= direct_reclaims() - before
            assert (told.kicks > 0) == (told.events > 0)
            assert told.strikes == 0
    finally:
        guard.disarm()
        close(attached)


def direct_reclaims() -> int:
    """So often did tasks have to reclaim for the whole system; a cgroup's own reclaim is not counted here."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("allocstall_"))


def test_a_recycled_pid_and_a_dead_row_are_passed_over(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, _):
        first = board.start_app("first", 950, 0.5)
        rows = rows_of([first])
        board.end(first)
        wait_until("the first is gone", lambda: not Path(f"/proc/{first.pid}").exists())
        while True:  # the clock has gone on, or it would be the same process to anybody
            heir = board.start_app("heir", 950, 0.5, pid=first.pid)
            if start_ticks(heir.pid) != rows[0][2]:
                break
            board.end(heir)
        gone = board.start_app("gone", 940, 0.5)
        other = board.start_app("other", 930, 0.5)
        wanted = board.start_app("wanted", 920, 0.5)
        rows += [*rows_of([gone]), (other.pid, 930, start_ticks(other.pid) + 1), *rows_of([wanted])]
        board.end(gone)
        guard.publish(rows)
        board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("4 rows are used up", lambda: guard.head() == 4)
        assert [strike.pid for strike in guard.strikes(0)] == [wanted.pid]
        assert guard.counters().skipped == 3
        assert heir.is_alive()
        assert other.is_alive()


def test_who_became_important_or_is_never_struck_is_passed_over_and_the_next_one_dies(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, _):
        promoted, never, demoted, wanted = (board.start_app(f"listed-{adj}", adj, 0.5) for adj in (950, 940, 930, 920))
        kernel_thread = (2, 0, start_ticks(2))  # the kernel takes no signal for kthreadd: EPERM
        guard.never(never.pid)
        guard.publish([kernel_thread, *rows_of([promoted, never, demoted, wanted])])
        Path(f"/proc/{promoted.pid}/oom_score_adj").write_text("949")
        Path(f"/proc/{demoted.pid}/oom_score_adj").write_text("931")
        board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("5 rows are used up", lambda: guard.head() == 5)
        assert [(strike.pid, strike.adj) for strike in guard.strikes(0)] == [(demoted.pid, 931), (wanted.pid, 920)]
        assert guard.counters().skipped == 3
        assert promoted.is_alive()
        assert never.is_alive()


def test_a_new_list_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, _):
        old, new = board.start_app("old", 950, 0.5), board.start_app("new", 940, 0.5)
        guard.publish(rows_of([old]))
        guard.publish(rows_of([new]))
        guard.arm(layout.STRIKE)
        board.start_thrashers(2)
        wait_until("1 rows are used up", lambda: guard.head() == 1)
        wait_events(guard, 100)
        assert [strike.pid for strike in guard.strikes(0)] == [new.pid]
        assert old.is_alive()
        guard.publish([])
        wait_events(guard, 100)
        assert guard.counters().strikes == 1


def test_two_cpus_make_one_victim_of_one_event(tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with Sandbox(256) as board, guarded(board, tmp_path) as (guard, _):
        listed = [board.start_app(f"listed-{number}", 900, 0.25) for number in range(160)]
        for number, app in enumerate(board.start_thrashers(6)):
            os.sched_setaffinity(app.pid, {cpus[number % len(cpus)]})
        guard.publish(rows_of(listed))
        guard.set_word(layout.ANSWER_NS, 1)
        guard.set_word(layout.GAP_NS, 4_000_000)
        guard.arm(layout.STRIKE)
        wait_until("20 rows are used up", lambda: guard.head() >= 20)
        guard.set_word(layout.GAP_NS, 0)  # nothing but the events themselves keeps two CPUs apart now
        wait_until("160 rows are used up", lambda: guard.head() == 160)
        strikes = guard.strikes(0)
        assert [strike.pid for strike in strikes] == [app.pid for app in listed]
        times = [strike.at_ns for strike in strikes]
        assert all(later - earlier >= 4_000_000 for earlier, later in pairwise(times[:20]))
        assert len(set(times)) == 160
        assert guard.counters().skipped == 0  # the second CPU never met the victim of the first


def test_disarming_ends_it_at_once(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, witness_of(board, tmp_path) as witness, guarded(board, tmp_path) as (guard, _):
        listed = [board.start_app(f"listed-{number}", 900, 0.5) for number in range(40)]
        guard.publish(rows_of(listed))
        board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("there are 2 strikes", lambda: guard.counters().strikes >= 2)
        guard.disarm()
        wait_until("no strike is under way", lambda: guard.words[layout.STRIKING] == 0)  # the one that was under way
        before = guard.counters()
        wait_events(witness, 300)
        assert guard.counters() == before
        assert before.strikes < 40
        assert sum(app.is_alive() for app in listed) == 40 - before.strikes
        guard.arm(layout.STRIKE)  # and again
        wait_until("40 rows are used up", lambda: guard.head() == 40)


def test_the_lease_runs_out_and_disarms(tmp_path: Path) -> None:
    lease_ns = 400_000_000
    with Sandbox(LIMIT_MIB) as board, witness_of(board, tmp_path) as witness, guarded(board, tmp_path) as (guard, _):
        listed = [board.start_app(f"listed-{number}", 900, 0.5) for number in range(40)]
        guard.publish(rows_of(listed))
        guard.set_word(layout.LEASE_NS, lease_ns)
        board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("the lease has lapsed", lambda: guard.counters().lapsed_ns)
        kick = guard.words[layout.KICK]
        assert guard.counters().armed == layout.OFF
        assert guard.counters().lapsed_ns > kick + lease_ns
        assert all(strike.at_ns <= kick + lease_ns for strike in guard.strikes(0))
        before = guard.counters()
        wait_events(witness, 300)
        assert guard.counters() == before
        assert before.strikes < 40
        assert sum(app.is_alive() for app in listed) == 40 - before.strikes
        assert guard.kick() == kick  # a killer that comes back finds it, answers, and is armed again
        guard.answer(kick)
        guard.set_word(layout.LEASE_NS, 10_000_000_000)
        guard.arm(layout.STRIKE)
        wait_until("40 rows are used up", lambda: guard.head() == 40)


@contextmanager
def crashed_owner(board: Sandbox, cache: Path, pin_dir: str, lease_ns: int) -> Iterator[Guard]:
    """The maps of a daemon that has loaded its strike, and is killed when the first reclaim may come."""
    ours, theirs = socket.socketpair()
    words = (theirs.fileno(), board.place.psi, cache, pin_dir, lease_ns)
    command = [sys.executable, "-m", "tests.kernel.bpf_owner", *map(str, words)]
    with subprocess.Popen(command, cwd=REPO_ROOT, pass_fds=(theirs.fileno(),)) as owner:
        theirs.close()
        text, fds, _, _ = socket.recv_fds(ours, 4096, 4)
        ours.close()
        assert text == b"-", text
        attached = AttachedProgram(VARIANT_LIST, fds[0], fds[1], fds[2], fds[3], (), ())
        guard = Guard(attached)
        listed = [board.start_app(f"listed-{number}", 900, 0.5) for number in range(40)]
        guard.publish(rows_of(listed))
        guard.arm(layout.STRIKE)
        owner.kill()
    try:
        yield guard
    finally:
        guard.disarm()
        close(attached)


@pytest.fixture
def pin_dir(tmp_path: Path) -> Iterator[str]:
    """A directory where a BPF file system gets mounted."""
    place = tmp_path / "pins"
    yield str(place)
    unpin(str(place))
    if str(place) in mount_points("bpf"):
        subprocess.run(["umount", str(place)], check=True)


def test_a_pinned_strike_outlives_a_crash_until_its_lease_is_over(tmp_path: Path, pin_dir: str) -> None:
    lease_ns = 1_500_000_000
    with (
        Sandbox(LIMIT_MIB) as board,
        witness_of(board, tmp_path) as witness,
        crashed_owner(board, tmp_path, pin_dir, lease_ns) as guard,
    ):
        guard.set_word(layout.GAP_NS, 200_000_000)
        board.start_thrashers(2)
        wait_until("the lease has lapsed", lambda: guard.counters().lapsed_ns)
        strikes = guard.strikes(0)
        assert 1 <= len(strikes) <= 8  # nobody was there any more, and they died
        assert all(strike.at_ns <= guard.words[layout.KICK] + lease_ns for strike in strikes)
        before = guard.counters()
        wait_events(witness, 300)
        assert guard.counters() == before
        # A new daemon takes the pin away: the program is gone, armed or not.
        unpin(pin_dir)
        guard.set_word(layout.LEASE_NS, 1 << 60)
        guard.arm(layout.STRIKE)
        wait_until("it is quiet", lambda: quiet(guard, witness))
        assert guard.counters().strikes == len(strikes)


def test_a_strike_that_is_not_pinned_dies_with_its_daemon(tmp_path: Path) -> None:
    with (
        Sandbox(LIMIT_MIB) as board,
        witness_of(board, tmp_path) as witness,
        crashed_owner(board, tmp_path, "", 1 << 60) as guard,
    ):
        board.start_thrashers(2)
        wait_events(witness, 300)
        assert guard.counters().strikes == 0
        assert guard.counters().kicks == 0


def quiet(guard: Guard, witness: Guard) -> bool:
    """The kernel lets go of a link a moment after its last name: no more events are counted then."""
    before = guard.counters().events
    wait_events(witness, 100)
    return guard.counters().events == before
