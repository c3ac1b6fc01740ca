"""Layer 3 behind the real daemon: BPF kicks the killer, and strikes in its stead when it does not answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.core.vocabulary import KillReason
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.daemon.program import lmkd_py
from tests.support import SOAK, SUITE_ALL, require
from tools.observer.observer import Observer

pytestmark = [pytest.mark.pressure]
Start = Callable[..., Daemon]
LISTED = 40
RUNS = 100 if SOAK else 20 if SUITE_ALL else 2
SPARE_ALL = PolicyConfig(thrashing_limit_pct=1_000_000, thrashing_limit_critical_pct=3_000_000)  # rows 7 to 11 silent


@pytest.fixture
def crowded() -> Iterator[Sandbox]:
    """Room for forty small victims."""
    with Sandbox(limit_mib=256) as made:
        yield made
        assert made.oom_kills() == 0, "the kernel's OOM killer acted"


def crowd(board: Sandbox, count: int = LISTED) -> list[App]:
    """The most expendable first, as the list will have them."""
    return [board.start_app(f"cached-{999 - number}", 999 - number, 0.5) for number in range(count)]


def layer_of(daemon: Daemon) -> bool:
    """Whether the strike stands behind this daemon."""
    return bool(daemon.status().layers >> 3 & 1)


def freeze(daemon: Daemon) -> None:
    """Both processes, the killer first: nobody answers from here on."""
    for pid in (daemon.status().killer_pid, daemon.pid):
        os.kill(pid, signal.SIGSTOP)


def thaw(daemon: Daemon) -> None:
    """Both run again."""
    for pid in (daemon.pid, daemon.killer_pid):
        os.kill(pid, signal.SIGCONT)


def dead_in_order(apps: list[App]) -> bool:
    """Nobody died before one that stands ahead of it in the list."""
    alive = [app.is_alive() for app in apps]
    return alive == sorted(alive)


@pytest.mark.slow
@pytest.mark.parametrize("run", range(RUNS))
def test_with_both_processes_stopped_the_whole_list_dies_in_order_and_nobody_else(
    run: int, crowded: Sandbox, start: Start, tmp_path: Path
) -> None:
    apps = crowd(crowded)
    spared = [crowded.start_app("perceptible-200", 200, 0.5), crowded.start_app("foreground-0", 0, 0.5)]
    outside = crowded.start_app("bystander", 999, 0.5, outside=True)
    daemon = start(crowded, strike_gap_ms=5, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here; see the daemon's notes")
    freeze(daemon)  # before the killer ever woke
    crowded.start_thrashers(2)
    wait_until("the whole list is dead", lambda: not any(app.is_alive() for app in apps), 60)
    assert all(app.is_alive() for app in (*spared, outside))
    crowded.stop_pressure()
    thaw(daemon)
    wait_until("the strikes are filed", lambda: daemon.status().kills >= LISTED)
    assert daemon.stop() == 0

    (path,) = tmp_path.glob("traces/*/*.lmkt")
    trace = read_trace(path)
    assert [strike.pid for strike in trace.strikes] == [app.pid for app in apps]
    assert [strike.adj for strike in trace.strikes] == [app.adj for app in apps]
    assert {strike.reason for strike in trace.strikes} == {KillReason.IN_KERNEL_STRIKE}
    assert all(strike.kick_ns + 50_000_000 <= strike.monotonic_ns for strike in trace.strikes)
    told = explain(trace, 1)
    assert told.victim is not None
    assert told.victim.name == apps[0].name
    assert replay(trace).agrees


@pytest.mark.slow
def test_once_the_killer_answers_again_nobody_is_struck_in_the_kernel(
    crowded: Sandbox, start: Start, tmp_path: Path
) -> None:
    apps = crowd(crowded)
    daemon = start(crowded, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    crowded.start_thrashers(2)
    wait_until("kicks have come", lambda: _records(daemon) > 3)
    freeze(daemon)
    wait_until("the kernel has struck", lambda: not apps[4].is_alive())
    thawed_ns = time.monotonic_ns()
    thaw(daemon)
    mark = daemon.status().records
    wait_until("it has been kicked a hundred times more", lambda: daemon.status().records > mark + 100, 60)
    crowded.stop_pressure()
    assert daemon.stop() == 0
    (path,) = tmp_path.glob("traces/*/*.lmkt")
    trace = read_trace(path)
    # Until the killer's first answer the strikes are the kernel's; by its second wakeup it has given one.
    woken = [ns for ns in (each.record.timings.woke_ns for each in trace.records) if ns > thawed_ns]
    assert len(woken) > 100
    assert trace.strikes
    assert all(strike.monotonic_ns < woken[1] for strike in trace.strikes)


def _records(daemon: Daemon) -> int:
    return daemon.status().records


@pytest.mark.slow
@pytest.mark.all_suite
def test_a_daemon_that_keeps_up_leaves_nothing_to_the_kernel(crowded: Sandbox, start: Start, tmp_path: Path) -> None:
    """200 kills by the daemon beside more than 1,000 reclaims: no strike in the kernel."""
    wanted = 200
    with Observer() as observer:
        apps = crowd(crowded, 99)
        daemon = start(crowded, policy=PolicyConfig(thrashing_limit_pct=1, thrashing_limit_critical_pct=3))
        require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
        crowded.start_thrashers(2)
        started = len(apps)
        deadline = time.monotonic() + 300
        while daemon.status().kills < wanted and time.monotonic() < deadline:
            if sum(app.is_alive() for app in apps) < 30:
                apps += crowd(crowded, 40)
                started += 40
            time.sleep(0.05)
        crowded.stop_pressure()
        killers = {daemon.killer_pid}
        assert daemon.stop() == 0
        assert {kill.sender_pid for kill in observer.kills() if kill.victim_pid in {app.pid for app in apps}} <= killers
    trace = Trace(tmp_path)
    assert len(trace.kills) >= wanted
    (path, *_) = sorted(tmp_path.glob("traces/*/*.lmkt"))
    whole = read_trace(path.parent)
    assert whole.strikes == ()
    reclaims = trace.records[-1].snapshot.pgscan_direct_pages - trace.records[0].snapshot.pgscan_direct_pages
    assert reclaims > 1000


def test_without_pressure_nobody_is_kicked_or_struck(crowded: Sandbox, start: Start) -> None:
    apps = crowd(crowded, 5)
    daemon = start(crowded)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    freeze(daemon)
    time.sleep(2)
    assert all(app.is_alive() for app in apps)
    thaw(daemon)
    assert daemon.status().kills == 0
    assert daemon.stop() == 0


@pytest.mark.slow
def test_a_neighbour_that_thrashes_is_none_of_our_business(crowded: Sandbox, start: Start) -> None:
    apps = crowd(crowded, 5)
    daemon = start(crowded)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    freeze(daemon)
    with Sandbox(limit_mib=64) as neighbour:
        neighbour.start_thrashers(2)
        wait_until("the neighbour stalls", lambda: neighbour.psi_total_us() > 300_000)
        assert neighbour.oom_kills() == 0
    assert all(app.is_alive() for app in apps)
    thaw(daemon)
    assert daemon.status().kills == 0
    assert daemon.stop() == 0


@pytest.mark.slow
def test_a_clean_stop_disarms_at_once_and_leaves_nothing_in_the_kernel(crowded: Sandbox, start: Start) -> None:
    apps = crowd(crowded, 5)
    daemon = start(crowded, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    pins = _pins(daemon.root)
    assert pins, "nothing is pinned"
    assert daemon.stop() == 0
    assert _pins(daemon.root) == []
    crowded.start_thrashers(2)
    wait_until("the domain stalls", lambda: crowded.psi_total_us() > 500_000)
    assert all(app.is_alive() for app in apps)


@pytest.mark.slow
def test_a_crash_leaves_it_armed_for_a_lease_and_no_longer(crowded: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = crowd(crowded, 30)
    daemon = start(crowded, strike_lease_ms=400, strike_gap_ms=100, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    for pid in (daemon.pid, daemon.killer_pid):
        os.kill(pid, signal.SIGSTOP)
    os.kill(daemon.killer_pid, signal.SIGKILL)
    daemon.kill()
    crowded.start_thrashers(2)
    wait_until("the kernel has struck", lambda: not apps[0].is_alive())
    wait_until("it has lapsed", lambda: _steady(apps))
    died = sum(not app.is_alive() for app in apps)
    assert 1 <= died <= 6
    assert dead_in_order(apps)
    crowded.stop_pressure()

    # The next daemon tells of it, and takes what was left out of the kernel.
    later = Daemon(tmp_path)
    wait_until("they are filed", lambda: later.status().kills == died)
    assert len(_pins(tmp_path)) == 1
    assert later.stop() == 0
    whole = read_trace(next(tmp_path.glob("traces/*")))
    assert [strike.pid for strike in whole.strikes] == [app.pid for app in apps[:died]]
    assert _pins(tmp_path) == []


def _steady(apps: list[App]) -> bool:
    before = [app.is_alive() for app in apps]
    time.sleep(1)
    return before == [app.is_alive() for app in apps]


def _pins(root: Path) -> list[str]:
    found = root.stat()
    place = Path(f"/sys/fs/bpf/lmkd_py-{found.st_dev:x}-{found.st_ino:x}")
    return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


@pytest.mark.slow
def test_observing_it_kicks_and_never_strikes(crowded: Sandbox, start: Start) -> None:
    apps = crowd(crowded, 5)
    daemon = start(crowded, "--observe")
    assert not layer_of(daemon)
    assert any("bpf kick" in line for line in daemon.status().triggers)
    crowded.start_thrashers(2)
    wait_until("it was kicked", lambda: daemon.status().records > 3)
    freeze(daemon)
    time.sleep(1)
    assert all(app.is_alive() for app in apps)
    thaw(daemon)
    crowded.stop_pressure()
    assert daemon.stop() == 0


def test_switched_off_it_is_not_there_and_says_so(crowded: Sandbox, start: Start) -> None:
    daemon = start(crowded, strike=0)
    assert not layer_of(daemon)
    assert "note no strike in the kernel: strike 0: the configuration switches it off" in daemon.said
    assert daemon.stop() == 0


def test_a_check_says_what_would_strike_and_leaves_nothing_loaded(crowded: Sandbox, tmp_path: Path) -> None:
    crowded.write_root(str(tmp_path), Config(monitor=crowded.monitor_config()))
    done = lmkd_py("check", "--root", str(tmp_path))
    (line,) = (line for line in done.stdout.splitlines() if "strike in the kernel" in line)
    require(not line.startswith("missing"), "the strike in the kernel: BPF is refused here")
    assert line.startswith("strike in the kernel: list")
    assert _pins(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.bin"]
