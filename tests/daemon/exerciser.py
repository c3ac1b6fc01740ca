"""Run as a program: arms a real killer in a private domain and wakes it by its own triggers, as often as told.

    python -I -S -E -B -X no_debug_ranges tests/daemon/exerciser.py REPO MEMCG TWIN HOW ROOT [VICTIMS]

The killer is the daemon's: forked, rehearsed, locked and looped by the code that ships. Its samples are really read and
then bent, one shortage after the other, so that every rule and every victim branch is gone through; this program is its
steward. HOW is `steady` (observe: strikes are signal 0), `idiomatic` (the same, but the sample is read as is usual),
`unlocked` and `unhurried` (steady without locked memory, without SCHED_FIFO), `caged` (real kills, every system
call that is not on the kill path's list fails), `sweep` (evaluations further and further down the stack of frames),
`windowed` (with a PF_MEMALLOC window whose ioctls succeed and do nothing), `refused` (with one
that is refused once it is armed), `warmed` (steady, with a warm tick after every millisecond) or `kicked` (steady,
with the kick of the BPF program, as often as it is answered).

Lines: it says `armed KILLER_PID`, then answers `wake N` with `woken N`, as `kick N` (until BPF has kicked so often:
`kicked`, and somebody has to reclaim in the domain) and `warm N` (until there were so many warm ticks), `sink DEPTH`
with `sunk ADDRESS` (where that many more calls leave the top of the stack of frames), and `end` with what it saw.
"""

from __future__ import annotations

import sys

PARENT, MEMCG, TWIN, HOW, ROOT = sys.argv[1:6]
VICTIMS = int(sys.argv[6]) if len(sys.argv) > 6 else 0
ROWS = max(256, VICTIMS)
sys.path.insert(0, PARENT)

from lmkd_py.daemon import lean  # noqa: E402

lean.install()

import os  # noqa: E402
from time import sleep  # noqa: E402

from lmkd_py.core import polling  # noqa: E402
from lmkd_py.core.config import Config, DomainConfig, DomainKind, MonitorConfig, PolicyConfig, with_settings  # noqa: E402
from lmkd_py.daemon import shared as layout  # noqa: E402
from lmkd_py.daemon.killer import child, layers  # noqa: E402
from lmkd_py.daemon.steward.killers.keeper import Killer, fork_killer  # noqa: E402
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike, order_of  # noqa: E402
from lmkd_py.kernel.acting.syscalls import PR_SET_PDEATHSIG, eventfd, pidfd_getfd, pidfd_open, prctl  # noqa: E402
from lmkd_py.kernel.bpf import Guard, load_apart  # noqa: E402
from lmkd_py.kernel.bpf.layout import ACK, KICK, REKICK_NS  # noqa: E402
from lmkd_py.kernel.sensing.domain import Domain  # noqa: E402
from lmkd_py.wire.record import unpack_record  # noqa: E402
from lmkd_py.wire.sentences import line  # noqa: E402
from tests.daemon.altered_loops import (  # noqa: E402
    BUSY,
    DEPTH,
    FAULTS,
    LOCKED_UP,
    MARK_WORDS,
    MARKS,
    TICKS,
    TOP,
    TURNS,
    CagedLoop,
    CountedTick,
    StandIn,
    SweepLoop,
    WindowLoop,
    open_stand_in,
    words,
)
from tests.daemon.bending import open_bent  # noqa: E402
from tests.daemon.shortages import POLICIES  # noqa: E402

RING_SLOTS = 4096
LOOPS = {"caged": CagedLoop, "sweep": SweepLoop, "windowed": WindowLoop, "refused": WindowLoop}
PHASE = 2_000  # wakeups under one policy; a round of all policies fits between two marks


class Stage:
    """This program as the killer's steward: candidates, policies, wakeups."""

    def __init__(self, killer: Killer, guard: Guard | None) -> None:
        self.killer = killer
        self.guard = guard
        assert killer.outbox is not None
        self.outbox = killer.outbox
        self.age = self.row = 0
        self.pids: list[int] = []
        self.triggers = [
            pidfd_getfd(killer.pidfd, int(name))
            for name in sorted(os.listdir(f"/proc/{killer.pid}/fd"), key=int)
            if int(name) > 6 and "eventfd" in os.readlink(f"/proc/{killer.pid}/fd/{name}")
        ]
        self.records = 0
        self.kinds: set[tuple[int, ...]] = set()
        self.layers: set[int] = set()

    def spawn(self) -> int:
        """Fork a process that waits to be killed."""
        pid = os.fork()
        if pid == 0:
            prctl(PR_SET_PDEATHSIG, 9)
            while True:
                sleep(1000)
        self.pids.append(pid)
        return pid

    def add(self, pid: int, adj: int, sized: bool) -> None:
        self.age += 1
        values = (pid, 0, adj, 500, 1, self.age, 0)
        self.outbox.put(layout.ADD, self.row, values, (pidfd_open(pid),))
        if sized:
            files = [os.open(f"/proc/{pid}/{name}", os.O_RDONLY) for name in ("statm", "oom_score_adj")]
            for fd in files:
                os.pread(fd, 64, 0)
            self.outbox.put(layout.SIZED, self.row, values, tuple(files))
        self.row += 1

    def people(self) -> None:
        """Candidates for every branch, always on the same rows: one dead, one risen, tiers by age and by size."""
        if not self.pids:
            zombie = self.spawn()
            os.kill(zombie, 9)
            os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
            for _ in range(6):
                self.spawn()
        zombie, risen, *others = self.pids
        self.row = 0
        self.add(zombie, 999, False)
        self.add(zombie, 998, True)
        self.add(risen, 950, True)
        for pid, adj in zip(others, (900, 900, 200, 200, 100)):
            # Their own oom_score_adj is 0: with it pinned they would all count as risen.
            self.add(pid, adj, False)
        self.outbox.flush()

    def policy(self, number: int) -> None:
        """Another configuration, as a reload sends it."""
        self.outbox.put_policy(POLICIES[number % len(POLICIES)], number + 2)
        self.outbox.flush()

    def wake(self, count: int) -> None:
        """Until the killer has evaluated `count` times more."""
        goal = words[TURNS] + count
        one = (1).to_bytes(8, "little")
        turn = 0
        while words[TURNS] < goal:
            if turn % 256 == 0 and HOW != "caged":
                self.look()
                self.people()
                self.policy(words[TURNS] // PHASE)
            os.write(self.triggers[turn % len(self.triggers)], one)
            turn += 1
            sleep(0.00005)
            if not self.outbox.consumed():
                self.outbox.flush()
        self.look()

    def kick(self, count: int) -> None:
        """Until BPF has kicked it `count` times more. It kicks once an answer, so each of them was a wakeup."""
        assert self.guard is not None
        goal = self.guard.counters().kicks + count
        while self.guard.counters().kicks < goal:
            self.look()
            self.people()
            self.policy(words[TURNS] // PHASE)
            sleep(0.02)
        self.look()

    def warm(self, count: int) -> None:
        """Until there were `count` ticks more: an event, and time to poll after it."""
        goal = words[TICKS] + count
        while words[TICKS] < goal:
            self.look()
            self.people()
            self.policy(words[TURNS] // PHASE)
            os.write(self.triggers[0], (1).to_bytes(8, "little"))
            sleep(0.05)
        self.look()

    def sink(self, depth: int) -> int:
        words[DEPTH] = depth
        self.outbox.kick()
        while words[DEPTH] >= 0:
            sleep(0.0005)
        return int(words[TOP])

    def look(self) -> None:
        """What kinds of evaluation the ring holds: (action, reason, attempts, struck)."""
        for data in list(self.killer.ring.take())[:: 5 if HOW in ("steady", "kicked") else 1]:
            record = unpack_record(data)
            self.records += 1
            struck = 1 if record.outcome.pid else 0
            self.kinds.add((record.judgement.action, record.judgement.reason, record.outcome.attempts, struck))
            self.layers.add(record.layers)

    def go_live(self) -> None:
        """Let the killer signal from now on."""
        self.killer.shared.words[layout.MODE] = layout.LIVE
        self.outbox.kick()


def say(*what: object) -> None:
    print(*what, flush=True)


def open_as_told(monitor: MonitorConfig) -> Domain:
    """The killer's open_domain()."""
    return open_bent(monitor, HOW == "idiomatic")


def look_more_often() -> None:
    """Every second kick is evaluated, though polling will look soon: else nearly all of them would be left to that."""
    looks_soon, calls = polling.looks_soon, [0]

    def as_often(poll: polling.PollState, now_ms: int) -> bool:
        calls[0] ^= 1
        return calls[0] == 1 and looks_soon(poll, now_ms)

    polling.looks_soon = as_often


def main() -> None:
    """Run the mode that the module's docstring describes."""
    child.open_domain = open_as_told  # type: ignore[attr-defined, assignment]
    child.WarmTick = CountedTick  # type: ignore[attr-defined]
    words[DEPTH] = -1
    if HOW in LOOPS:
        child.Loop = LOOPS[HOW]  # type: ignore[attr-defined]
    if HOW in ("windowed", "refused"):
        layers.open_window = open_stand_in  # type: ignore[attr-defined]
        StandIn.is_refused = HOW == "refused"
    monitor = with_settings(
        MonitorConfig(DomainConfig(DomainKind.MEMCG_V1, MEMCG, TWIN)),
        observe=0 if HOW == "caged" else 1,
        trace={"ring_slots": RING_SLOTS},
        guarantee={
            "lock_memory": 0 if HOW == "unlocked" else 1,
            "rt_priority": 0 if HOW == "unhurried" else 10,
            "warm_ms": 1 if HOW == "warmed" else 2,
            "warm_cpu_pct": 100 if HOW == "warmed" else 5,
        },
    )
    # Caged, everybody is to die, though what the killer is made to see does not change by it.
    policy = PolicyConfig(kill_timeout_ms=20, lowmem_min_adj=201, futile_kills_max=0 if HOW == "caged" else 3)
    if HOW == "kicked":
        look_more_often()
    notify = eventfd()
    attached = load_apart(order_of(monitor), ROOT, "") if HOW == "kicked" else None
    kernel_strike = KernelStrike(monitor, "", attached, "not exercised")  # nobody reclaims: there would be no kicks
    killer = fork_killer(ROOT, Config(policy, monitor), 1, ROWS, (os.getpid(), os.getppid()), notify, kernel_strike)
    while HOW == "caged" and not words[LOCKED_UP]:
        if killer.wait_end(0.001):
            raise ChildProcessError("the killer ended before it was locked up")
    stage = Stage(killer, Guard(attached) if attached is not None else None)
    for _ in range(VICTIMS):
        stage.add(stage.spawn(), 900, False)
    stage.outbox.flush()
    stage.go_live()
    if stage.guard is not None:
        stage.guard.set_word(REKICK_NS, 0)
    kernel_strike.arm(os.getpid(), killer.pid, os.getppid())
    for note in killer.report.notes:
        say(line(note))
    say("armed", killer.pid)
    for asked in sys.stdin:
        verb, _, number = asked.strip().partition(" ")
        if verb in ("wake", "kick", "warm"):
            {"wake": stage.wake, "kick": stage.kick, "warm": stage.warm}[verb](int(number))
            say("woken", words[TURNS])
            continue
        if verb == "sink":
            say("sunk", stage.sink(int(number)))
            continue
        break
    kernel_strike.disarm()
    killer.shared.words[layout.MODE] = layout.STOP
    killer.outbox.kick()  # type: ignore[union-attr]
    killer.wait_end(5)
    killer.end()
    dead = 0
    for pid in stage.pids:
        dead += os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    say("exit", killer.shared.words[layout.EXIT_CODE])
    say("dead", dead)
    say("faults", words[FAULTS])
    say("busy", words[BUSY])
    say("ticks", words[TICKS])
    if stage.guard is not None:
        counted = stage.guard.counters()
        say("kicks", counted.kicks, counted.strikes, int(stage.guard.words[ACK] >= stage.guard.words[KICK]))
    say("marks", *words[MARKS : MARKS + MARK_WORDS])
    say("layers", *sorted(stage.layers))
    for kind in sorted(stage.kinds):
        say("kind", *kind)


if __name__ == "__main__":
    main()
