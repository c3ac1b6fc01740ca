"""The life cycle of a board: what its processes are, that pressure is real, that nothing stays behind."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board import cgroups
from lmkd_py.board.errors import SandboxError
from lmkd_py.board.sandbox import Sandbox
from tests.support import needs_cgroup, wait_until

pytestmark = needs_cgroup
MakeBoard = Callable[..., Sandbox]


def status_field(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    raise AssertionError(f"no {name} in /proc/{pid}/status")


def oom_control(board: Sandbox) -> str:
    return cgroups.read(board.place.memory, "memory.oom_control")


def failures(board: Sandbox) -> int:
    return int(cgroups.read(board.place.memory, "memory.failcnt"))


def nothing_is_left_of(board: Sandbox, pids: list[int]) -> bool:
    return not any(map(os.path.exists, board.place.directories)) and not any(os.path.exists(f"/proc/{p}") for p in pids)


def test_an_app_is_named_tiered_and_placed_before_it_allocates(make_board: MakeBoard) -> None:
    board = make_board()
    app = board.start_app("cached-915", adj=915, size_mib=8)
    assert Path(f"/proc/{app.pid}/comm").read_text() == "cached-915\n"
    assert Path(f"/proc/{app.pid}/oom_score_adj").read_text() == "915\n"
    for place in board.place.places:
        assert str(app.pid) in Path(place).read_text().split()
    assert int(status_field(app.pid, "Uid").split()[0]) == app.uid >= 10_000
    wait_until("the app has its 8 MiB", lambda: app.resident_kb() >= 8 * 1024)
    # What it costs the domain is its size and little more: the interpreter is shared with its parent.
    assert board.usage_kb() < 8 * 1024 + 3 * 1024


def test_a_close_ends_every_process_and_removes_every_cgroup(make_board: MakeBoard) -> None:
    board = make_board()
    apps = [board.start_app(f"cached-{900 + i}", 900 + i, 4) for i in range(5)]
    bystander = board.start_app("bystander", 950, 1, outside=True)
    board.close()
    assert nothing_is_left_of(board, [app.pid for app in (*apps, bystander)])


@pytest.mark.pressure
@pytest.mark.parametrize("kind", ["thrash", "hog"])
def test_a_maker_that_is_killed_leaves_nothing_behind(kind: str) -> None:
    told, tell = os.pipe()
    maker = os.fork()
    if maker == 0:
        try:
            board = Sandbox(96)
            apps = [board.start_app(f"cached-{900 + i}", 900 + i, 8) for i in range(8)]
            frozen = board.start_app("frozen-950", 950, 1)
            board.freeze(frozen)
            zombie = board.start_app("zombie-940", 940, 1, keep_zombie=True)
            zombie.signal(signal.SIGKILL)
            apps += board.start_thrashers(2) if kind == "thrash" else [board.start_hog(0, 1000)]
            wait_until("the limit is reached", lambda: failures(board) > 0)
            if kind == "hog":  # everybody who allocates now waits, and the kernel may not end it
                wait_until("the hog waits for memory", lambda: "under_oom 1" in oom_control(board))
            pids = [app.pid for app in (*apps, frozen, zombie)]
            os.write(tell, f"{board.name} {' '.join(map(str, pids))}".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    os.close(tell)
    name, *numbers = os.read(told, 4096).decode().split()
    os.close(told)
    assert os.waitstatus_to_exitcode(os.waitpid(maker, 0)[1]) == -signal.SIGKILL
    place = cgroups.find_place(name)
    wait_until("the cgroups are gone", lambda: not any(map(os.path.exists, place.directories)))
    wait_until("the processes are gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in numbers))


@pytest.mark.pressure
def test_thrashers_make_stall_and_limit_failures(make_board: MakeBoard) -> None:
    board = make_board(96)
    apps = [board.start_app(f"cached-{900 + i}", 900 + i, 8) for i in range(8)]
    thrashers = board.start_thrashers(3)
    wait_until("tasks have stalled for 0.5 s", lambda: board.psi_total_us("some") > 500_000)
    wait_until("the limit was reached 1000 times", lambda: failures(board) > 1000)
    board.stop_pressure()
    assert not any(app.is_alive() for app in thrashers)
    assert all(app.is_alive() for app in apps)
    assert board.oom_kills() == 0


@pytest.mark.pressure
def test_the_kernel_does_not_kill_for_a_hog_and_a_death_lets_it_grow(make_board: MakeBoard) -> None:
    board = make_board(64)
    app = board.start_app("cached-900", 900, 20)
    wait_until("the app has its 20 MiB", lambda: app.resident_kb() >= 20 * 1024)
    hog = board.start_hog(0, 1000)
    wait_until("the hog waits for memory", lambda: "under_oom 1" in oom_control(board))
    stuck_kb = hog.resident_kb()
    board.end(app)
    wait_until("the hog grows", lambda: hog.resident_kb() > stuck_kb + 15 * 1024)
    assert hog.is_alive()
    assert "oom_kill_disable 1" in oom_control(board)
    assert board.oom_kills() == 0


def test_a_frozen_app_takes_its_death_only_when_thawed(make_board: MakeBoard) -> None:
    board = make_board()
    app = board.start_app("frozen-900", 900, 1)
    board.freeze(app)
    app.signal(signal.SIGKILL)
    assert not app.wait_dead(0.2)
    board.thaw()
    assert app.wait_dead(30)


def test_a_zombie_stays_until_it_is_reaped(make_board: MakeBoard) -> None:
    board = make_board()
    app = board.start_app("zombie-900", 900, 1, keep_zombie=True)
    board.end(app)
    assert status_field(app.pid, "State").startswith("Z")
    assert board.wait_status(app) is None
    board.reap(app)
    wait_until("the zombie is gone", lambda: not os.path.exists(f"/proc/{app.pid}"))
    assert os.waitstatus_to_exitcode(board.wait_status(app) or 0) == -signal.SIGKILL


def test_an_app_can_leave_by_itself(make_board: MakeBoard) -> None:
    board = make_board()
    app = board.start_app("short-900", 900, 1, leaves_after_ms=10)
    assert app.wait_dead(30)
    wait_until("the app is reaped", lambda: board.wait_status(app) == 0)


def test_an_app_whose_descriptor_is_beyond_1023_is_watched_all_the_same(make_board: MakeBoard) -> None:
    app = make_board().start_app("app", 900, 1)
    high = dataclasses.replace(app, pidfd=os.dup2(app.pidfd, 1500))
    assert high.is_alive()
    app.signal(9)
    assert high.wait_dead(30)
    assert not high.is_alive()
    os.close(high.pidfd)


def test_a_pid_can_be_used_again_on_purpose(make_board: MakeBoard) -> None:
    board = make_board()
    first = board.start_app("first-900", 900, 1)
    board.end(first)
    wait_until("the first app is gone", lambda: not os.path.exists(f"/proc/{first.pid}"))
    second = board.start_app("second-0", 0, 1, pid=first.pid)
    assert second.pid == first.pid
    assert not first.is_alive()
    assert second.is_alive()


def test_a_board_that_is_there_already_is_not_touched(make_board: MakeBoard) -> None:
    board = make_board()
    app = board.start_app("cached-900", 900, 1)
    with pytest.raises(SandboxError, match="exists already"):
        Sandbox(64, name=board.name)
    assert app.is_alive()


def test_a_forked_copy_of_the_board_does_not_end_it(make_board: MakeBoard) -> None:
    board = make_board()
    app = board.start_app("cached-900", 900, 1)
    child = os.fork()
    if child == 0:
        board.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert app.is_alive()


def test_registrations_are_one_line_an_app_that_lives(make_board: MakeBoard, tmp_path: Path) -> None:
    board = make_board()
    one, gone = board.start_app("one", 900, 1), board.start_app("gone", 901, 1)
    board.start_app("outside", 902, 1, outside=True)
    board.end(gone)
    board.write_procs(str(tmp_path))
    assert (tmp_path / "procs").read_text() == f"{one.pid} {one.uid} 900\n"
    assert [path.name for path in tmp_path.iterdir()] == ["procs"]
