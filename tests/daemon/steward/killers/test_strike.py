"""Layer 3 behind the real daemon: BPF kicks the killer, and strikes in its stead when it does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.core.vocabulary import KillReason
from lmkd_py.kernel.bpf import layout
from lmkd_py.kernel.sensing.triggers import bpf_kick
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.daemon.program import lmkd_py
from tests.daemon.strike_tools import (
    LISTED,
    SPARE_ALL,
    crowd,
    freeze,
    kills_of,
    layer_of,
    pins_of,
    stall_on,
    thaw,
    wait_words,
    words_of,
)
from tests.support import repeated, require
from tools.observer.observer import SI_KERNEL, Observer

pytestmark = [pytest.mark.pressure]
Start = Callable[..., Daemon]
ANSWER_MS = 2000  # for who has to answer in time: a busy machine may keep the killer from it for 50 ms, and is right to
KILL_SOON = PolicyConfig(thrashing_limit_pct=1, thrashing_limit_critical_pct=3)


@pytest.fixture
def crowded() -> Iterator[Sandbox]:
    """A sandbox of 256 MiB, with room for forty small victims."""
    with Sandbox(limit_mib=256) as made:
        yield made
        assert made.oom_kills() == 0, "the kernel's OOM killer acted"


@pytest.mark.slow
@pytest.mark.parametrize("run", repeated(2, 8, 100))
def test_with_both_processes_stopped_the_whole_list_dies_in_order_and_nobody_else(
    run: int, crowded: Sandbox, start: Start, tmp_path: Path
) -> None:
    """They stop before the killer ever woke, after it has answered kicks, and after it has killed, in turns."""
    woken, killed = run % 3 > 0, run % 3 == 2
    apps = crowd(crowded)
    spared = [crowded.start_app("perceptible-200", 200, 0.5), crowded.start_app("foreground-0", 0, 0.5)]
    outside = crowded.start_app("bystander", 999, 0.5, outside=True)
    daemon = start(crowded, strike={"gap_ms": 5}, policy=KILL_SOON if killed else SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here; see the daemon's notes")
    with Observer() as observer, words_of(daemon) as words:
        if woken:
            spared += crowded.start_thrashers(2)
            wait_until("kicks were answered", lambda: words[layout.KICKS] > 3 and words[layout.ACK])
            wait_until("the daemon has killed", lambda: daemon.status().kills >= (3 if killed else 0))
        freeze(daemon)
        if not woken:
            assert words[layout.KICKS] == 0
            spared += crowded.start_thrashers(2)
        wait_until("the whole list is dead", lambda: not any(app.is_alive() for app in apps), 60)
        events = words[layout.EVENTS] + 100  # time enough to strike somebody else at the end of the list
        wait_until(
            "reclaim goes on", lambda: words[layout.EVENTS] > events or not all(app.is_alive() for app in spared)
        )
        assert all(app.is_alive() for app in (*spared, outside))
        senders = [daemon.pid, daemon.killer_pid, *(app.pid for app in spared)]
        kills = kills_of(observer, [*apps, *spared, outside], senders)
        assert observer.lost == 0
    crowded.stop_pressure()
    thaw(daemon)
    wait_until("the strikes are filed", lambda: daemon.status().kills >= LISTED)
    assert daemon.stop() == 0

    by_daemon = {kill.victim_pid for kill in kills if kill.sender_pid == daemon.killer_pid}
    assert len(by_daemon) >= 3 if killed else not by_daemon
    listed = [app for app in apps if app.pid not in by_daemon]
    by_kernel = [kill for kill in kills if kill.sender_pid != daemon.killer_pid]
    assert [kill.victim_pid for kill in by_kernel] == [app.pid for app in listed]
    assert {kill.code for kill in by_kernel} == {SI_KERNEL}
    (path,) = tmp_path.glob("traces/*/*.lmkt")
    trace = read_trace(path)
    assert [strike.pid for strike in trace.strikes] == [app.pid for app in listed]
    assert [strike.adj for strike in trace.strikes] == [app.adj for app in listed]
    assert {strike.reason for strike in trace.strikes} == {KillReason.IN_KERNEL_STRIKE}
    assert all(strike.kick_ns + 50_000_000 <= strike.monotonic_ns for strike in trace.strikes)
    told = explain(trace, len(by_daemon) + 1)
    assert told.victim is not None
    assert told.victim.name == listed[0].name
    assert replay(trace).agrees


@pytest.mark.all_suite
@pytest.mark.slow
def test_once_the_killer_answers_again_nobody_is_struck_in_the_kernel(
    crowded: Sandbox, start: Start, tmp_path: Path
) -> None:
    """Resumed, it answers the kick that was outstanding; up to that answer the kernel may strike for it, and then not.

    So whoever is struck, if only after the thaw, was struck for a kick of before the thaw.
    """
    apps = crowd(crowded)
    daemon = start(crowded, strike={"answer_ms": ANSWER_MS}, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    with words_of(daemon) as words:
        crowded.start_thrashers(2)
        wait_until("kicks have come", lambda: words[layout.KICKS] > 3 and words[layout.ACK])
        freeze(daemon)
        wait_until("the kernel has struck", lambda: not apps[4].is_alive())
        thawed_ns = time.monotonic_ns()
        thaw(daemon)
        wait_words(words, layout.KICKS, 100)
        strikes = words[layout.STRIKES]
        alive = [app for app in apps if app.is_alive()]
        assert alive
        freeze(daemon)  # a strike was possible all the time: as soon as nobody answers there is one
        wait_until("the next of the list is dead", lambda: not alive[0].is_alive())
    crowded.stop_pressure()
    thaw(daemon)
    assert daemon.stop() == 0
    (path,) = tmp_path.glob("traces/*/*.lmkt")
    trace = read_trace(path)
    assert strikes >= 5
    assert len(trace.strikes) > strikes
    assert all(strike.kick_ns < thawed_ns for strike in trace.strikes[:strikes])


@pytest.mark.slow
@pytest.mark.all_suite
def test_a_daemon_that_keeps_up_leaves_nothing_to_the_kernel(crowded: Sandbox, start: Start, tmp_path: Path) -> None:
    """200 kills by the daemon beside more than 1,000 reclaims that its program has seen: no strike in the kernel."""
    wanted, reclaims = 200, 1000
    apps = crowd(crowded, 99)
    daemon = start(crowded, strike={"answer_ms": ANSWER_MS}, policy=KILL_SOON)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    with Observer() as observer, words_of(daemon) as words:
        began = time.monotonic()
        deadline = began + 300
        crowded.start_thrashers(2)
        while not (  # and for long enough to be struck for, if it did not answer
            daemon.status().kills >= wanted
            and words[layout.EVENTS] > reclaims
            and time.monotonic() > began + 3 * ANSWER_MS / 1000
        ):
            assert time.monotonic() < deadline
            if sum(app.is_alive() for app in apps) < 30:
                apps += crowd(crowded, 40)
            time.sleep(0.05)
        kills = kills_of(observer, apps, [daemon.pid, daemon.killer_pid])
        assert observer.lost == 0
        crowded.stop_pressure()
        assert daemon.stop() == 0
        assert words[layout.EVENTS] > reclaims
        assert words[layout.KICKS] > 0
        assert words[layout.STRIKES] == 0
    assert len(kills) >= wanted
    assert {kill.sender_pid for kill in kills} == {daemon.killer_pid}
    trace = Trace(tmp_path)
    assert len(trace.kills) >= wanted
    (kick,) = (index for index, (name, _) in enumerate(trace.headers[0].triggers) if name == bpf_kick.NAME)
    assert any(record.trigger == kick for record in trace.records)
    (path, *_) = sorted(tmp_path.glob("traces/*/*.lmkt"))
    assert read_trace(path.parent).strikes == ()


def test_without_pressure_nobody_is_kicked_or_struck_although_a_neighbour_thrashes(
    crowded: Sandbox, start: Start
) -> None:
    apps = crowd(crowded, 5)
    daemon = start(crowded)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    freeze(daemon)
    with Sandbox(limit_mib=64) as neighbour:
        neighbour.start_thrashers(2)
        wait_until("the neighbour stalls", lambda: neighbour.psi_total_us() > 300_000)
        assert neighbour.oom_kills() == 0
    assert all(app.is_alive() for app in apps)
    with words_of(daemon) as words:
        assert (words[layout.EVENTS], words[layout.KICKS]) == (0, 0)
    thaw(daemon)
    assert daemon.status().kills == 0
    assert daemon.stop() == 0


@pytest.mark.slow
def test_observing_it_kicks_and_never_strikes(crowded: Sandbox, start: Start) -> None:
    apps = crowd(crowded, 5)
    daemon = start(crowded, "--observe")
    assert not layer_of(daemon)
    assert any(each.name == bpf_kick.NAME for each in daemon.status().triggers)
    crowded.start_thrashers(2)
    wait_until("it was kicked", lambda: daemon.status().records > 3)
    freeze(daemon)
    stall_on(crowded)
    assert all(app.is_alive() for app in apps)
    thaw(daemon)
    crowded.stop_pressure()
    assert daemon.stop() == 0


def test_switched_off_it_is_not_there_and_says_so(crowded: Sandbox, start: Start) -> None:
    daemon = start(crowded, strike={"enabled": 0})
    assert not layer_of(daemon)
    assert "note strike.enabled 0: no kicks and no strike in the kernel" in daemon.said
    assert daemon.stop() == 0


def test_a_check_says_what_would_strike_and_leaves_nothing_loaded(crowded: Sandbox, tmp_path: Path) -> None:
    crowded.write_root(str(tmp_path), Config(monitor=crowded.monitor_config()))
    done = lmkd_py("check", "--root", str(tmp_path))
    (line,) = (line for line in done.stdout.splitlines() if "strike in the kernel" in line)
    require(not line.startswith("missing"), "the strike in the kernel: BPF is refused here")
    assert line.startswith("strike in the kernel: list")
    assert pins_of(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.bin"]
