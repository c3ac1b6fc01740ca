"""The outside observer against real kills, deaths and wake-ups."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from tests.support import wait_until
from tools.observer import KILL, OOM_VICTIM, WAKING, Observer
from tools.observer.tracefs import tracefs

pytestmark = pytest.mark.root("perf_event_open on every CPU")
PATIENCE_S = 60.0  # a hang is the failure, not a slow machine


def comm_of(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as stream:
        return stream.read().rstrip("\n")


def start_sleeper() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sleep", "60"])
    wait_until("it is sleep", lambda: comm_of(process.pid) == "sleep")  # Popen returns before the program has its name
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def waits_for_input(pid: int) -> bool:
    """Whether it is inside read() of descriptor 0; the numbers are those of x86-64 and of arm64."""
    with open(f"/proc/{pid}/syscall") as stream:
        return stream.read().startswith(("0 0x0 ", "63 0x0 "))


def test_a_kill_is_seen_with_its_sender_its_victim_and_a_monotonic_time() -> None:
    with Observer() as observer:
        victim = start_sleeper()
        before = time.monotonic_ns()
        os.kill(victim.pid, signal.SIGKILL)
        after = time.monotonic_ns()
        victim.wait()
    [kill] = [kill for kill in observer.kills() if kill.victim_pid == victim.pid]
    assert before <= kill.time_ns <= after
    assert (kill.sender_pid, kill.victim_comm, kill.code, kill.result) == (os.getpid(), "sleep", 0, 0)
    assert kill.sender_comm == comm_of(os.getpid())
    assert observer.lost == 0


def test_the_victims_death_follows_its_kill() -> None:
    with Observer() as observer:
        victim = start_sleeper()
        end(victim)
    [kill] = [kill for kill in observer.kills() if kill.victim_pid == victim.pid]
    [death] = [death for death in observer.exits() if death.pid == victim.pid]
    assert death.last
    assert death.time_ns > kill.time_ns


def test_a_signal_that_is_no_sigkill_is_not_a_kill() -> None:
    with Observer() as observer:
        victim = start_sleeper()
        os.kill(victim.pid, signal.SIGTERM)
        victim.wait()
    assert victim.pid not in {kill.victim_pid for kill in observer.kills()}
    assert victim.pid in {death.pid for death in observer.exits()}


def test_a_sender_that_is_gone_at_once_still_has_a_name() -> None:
    with Observer() as observer:
        victim = start_sleeper()
        sender = subprocess.run(["/bin/kill", "-9", str(victim.pid)], check=True)
        victim.wait()
    assert sender.returncode == 0
    [kill] = [kill for kill in observer.kills() if kill.victim_pid == victim.pid]
    assert kill.sender_comm == "kill"


def test_wakings_are_those_of_the_watched_thread_only() -> None:
    sleeper = subprocess.Popen(["sh", "-c", "read line; read line"], stdin=subprocess.PIPE)
    other = subprocess.Popen(["sh", "-c", "read line; read line"], stdin=subprocess.PIPE)
    assert sleeper.stdin
    assert other.stdin
    for process in (sleeper, other):
        wait_until("it reads", lambda: waits_for_input(process.pid))  # noqa: B023
    with Observer([WAKING], [sleeper.pid]) as observer:
        for process in (sleeper, other):
            assert process.stdin
            process.stdin.write(b"\n")
            process.stdin.flush()
        time.sleep(0.1)
    for process in (sleeper, other):
        process.communicate()
    assert {waking.tid for waking in observer.wakings()} == {sleeper.pid}
    assert os.getpid() in {waking.waker_pid for waking in observer.wakings()}


def test_a_full_buffer_is_reported_and_never_silent() -> None:
    # SIGURG does nothing to a process that did not ask for it.
    with Observer([KILL], filters={KILL: f"sig=={int(signal.SIGURG)}"}, kib=4) as observer:
        for _ in range(1000):
            os.kill(os.getpid(), signal.SIGURG)
        seen = len([event for event in observer.events() if event.pid == os.getpid()])
        assert observer.lost > 0
        assert seen + observer.lost >= 1000
    assert observer.lost > 0


def test_many_kills_on_all_cpus_come_in_order_and_complete() -> None:
    victims = [start_sleeper() for _ in range(200)]
    with Observer() as observer:
        for victim in victims:
            os.kill(victim.pid, signal.SIGKILL)
        seen = observer.wait_for_kills(len(victims), 30)
    for victim in victims:
        victim.wait()
    wanted = [victim.pid for victim in victims]
    assert [kill.victim_pid for kill in seen if kill.victim_pid in set(wanted)] == wanted
    assert observer.lost == 0


def test_what_a_killed_observer_leaves_the_next_one_removes() -> None:
    def instances() -> list[str]:
        return [name for name in os.listdir(os.path.join(tracefs(), "instances")) if str(program.pid) in name]

    program = subprocess.Popen([sys.executable, "-m", "tools.observer"], stdout=subprocess.DEVNULL)
    wait_until("it observes", instances)
    end(program)
    assert len(instances()) == 1
    with Observer():
        assert instances() == []


def test_an_observer_that_ends_leaves_no_instance() -> None:
    with Observer():
        pass
    mine = f"_{os.getpid()}_"
    assert [name for name in os.listdir(os.path.join(tracefs(), "instances")) if mine in name] == []


def test_wake_ups_by_an_idle_cpus_timer_are_all_there() -> None:
    nap = "import sys, time\nsys.stdin.readline()\nfor _ in range(100): time.sleep(0.005)"
    sleeper = subprocess.Popen([sys.executable, "-c", nap], stdin=subprocess.PIPE, text=True)
    nanosleep = "syscalls:sys_enter_clock_nanosleep"
    with Observer([WAKING, nanosleep], [sleeper.pid], {nanosleep: f"common_pid=={sleeper.pid}"}) as observer:
        sleeper.communicate("go\n")  # not before it is observed
    names = [event.name for event in observer.events()]
    slept = [at for at, name in enumerate(names) if name == nanosleep]
    assert len(slept) == 100
    assert [at for at in slept[:-1] if names[at + 1] != WAKING] == []


def test_the_program_prints_a_kill_and_counts_no_loss() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "tools.observer"],
        stdout=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    try:
        kills_until_told(program)
        program.send_signal(signal.SIGINT)
        rest, _ = program.communicate(timeout=PATIENCE_S)
    finally:
        end(program)
    assert rest.splitlines()[-1] == b"lost\t0"
    assert program.returncode == 0


def kills_until_told(program: subprocess.Popen[bytes]) -> None:
    """Nobody says when it begins to watch, so one victim after the other, until it prints the kill of one of them."""
    assert program.stdout
    victims: list[int] = []
    said = b""
    output = program.stdout

    def told() -> bool:
        nonlocal said
        victim = start_sleeper()
        end(victim)
        victims.append(victim.pid)
        if select.select([output], [], [], 0.2)[0]:
            data = os.read(output.fileno(), 65536)
            assert data, "it has ended"
            said += data
        return any(f" pid={pid} " in line for line in lines_of_kills(said) for pid in victims)

    wait_until("it prints one of the kills", told, seen=lambda: said)


def lines_of_kills(said: bytes) -> list[str]:
    return [line for line in said.decode().splitlines(keepends=True) if KILL in line and line.endswith("\n")]


def test_an_unknown_tracepoint_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match="no_such_event"):
        Observer(["signal:no_such_event"])


def test_no_oom_victim_without_the_kernels_oom_killer() -> None:
    with Observer([OOM_VICTIM]) as observer:
        end(start_sleeper())
    assert observer.oom_victims() == []
