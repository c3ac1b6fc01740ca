"""A steward that does nothing but register and remove, as fast as it can, while its real killer kills.

A program, started like the daemon: PACKAGE_PARENT ROOT REGISTRATIONS KILLS BREEDER_FD. Its standard input names
victims, `pid start adj` a line, the breeder's pipe short-lived processes, `pid start name`. Everybody is registered
under the start time told, so that no other process of this machine that got the pid can be struck. It uses the
steward's own candidates, outbox, handing over and ring reader. Lines on standard output:
    armed STEWARD KILLER FDS FDS      what each held open before the first registration
    progress REGISTRATIONS KILLS      now and then
    spared PID NAME NS                removed for good, and the killer has taken that in
    killed PID NAME[|NAME] NAMED      a record of the ring: who was registered under its pid and start time
    done REGISTRATIONS REMOVALS RECYCLED TRIED LOST HELD FDS FDS
"""

from __future__ import annotations

import os
import select
import sys
import time

ROWS = 1024
BATCH = 64
RECENT = 56  # births that are remembered: most of them are still alive
ADJS = 60  # victims and breed lie in overlapping tiers, so that the killer's choice is in the middle of the churn
PATIENCE_S = 60.0
Person = tuple[int, int, int]  # pid, start ticks, oom_score_adj to register with


def fds_of(pid: int) -> str:
    """The open files of a process, as one word."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}").replace(" ", "_"))
        except FileNotFoundError:  # the listing's own
            continue
    return ",".join(sorted(names))


def say(*words: object) -> None:
    """Write one line to stdout without a buffer."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


class Lines:
    """Whole lines out of a pipe, without waiting."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.rest = b""
        self.ended = False
        os.set_blocking(fd, False)

    def read(self) -> list[list[str]]:
        """The words of each line that has arrived."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        self.ended = not data
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line.decode().split() for line in lines]


class Churn:
    """One killer and the registrations made for it."""

    def __init__(self, root: str, breeder: int) -> None:
        from lmkd_py.daemon.config_file import load_config
        from lmkd_py.daemon.steward.killers.keeper import fork_killer
        from lmkd_py.daemon.steward.killers.kernel_strike import load_kernel_strike
        from lmkd_py.kernel.acting.syscalls import eventfd

        self.notify = eventfd()
        config = load_config(root, False)
        never = (os.getpid(), os.getppid())
        self.kernel_strike = load_kernel_strike(root, config.monitor, 1)  # kept: its descriptors are counted
        self.killer = fork_killer(root, config, 1, ROWS, never, self.notify, self.kernel_strike)
        from lmkd_py.daemon import shared
        from lmkd_py.daemon.steward.candidates.candidates import Candidates
        from lmkd_py.daemon.steward.candidates.refused import CandidateRefused
        from lmkd_py.daemon.steward.killers.succession import go_live, hand_over
        from lmkd_py.wire.record import unpack_record

        self.refused, self.unpack, self.layout = CandidateRefused, unpack_record, shared
        self.candidates = Candidates(ROWS, config.monitor.discovery.sized_candidates)
        self.candidates.never.add(self.killer.pid)
        hand_over(self.candidates, self.killer)
        go_live(self.killer, None)
        assert self.killer.outbox is not None
        self.outbox = self.killer.outbox
        self.breed, self.orders = Lines(breeder), Lines(0)
        self.people: list[Person] = []
        self.victims: list[Person] = []
        self.ledger: dict[tuple[int, int], set[str]] = {}
        self.owners: set[int] = set()
        self.spared: set[int] = set()
        self.all_names: dict[int, set[str]] = {}
        self.registrations = self.removals = self.kills = self.recycled = self.tried = self.failed = 0
        self.state = 1

    def draw(self, below: int) -> int:
        """Knuth's 64-bit generator: the same run again for the same births."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (self.state >> 33) % below

    def meet(self) -> None:
        """Register the processes that were born."""
        for pid, start, _ in self.breed.read():
            self.recycled += int(pid) in self.owners
            self.owners.add(int(pid))
            self.spared.discard(int(pid))
            self.people.append((int(pid), int(start), 900 + self.draw(ADJS)))
        for pid, start, adj in self.orders.read():
            self.victims.append((int(pid), int(start), int(adj)))
        del self.people[:-RECENT]
        del self.victims[:-RECENT]

    def step(self) -> None:
        """One registration or removal of somebody."""
        people = self.people if self.draw(8) or not self.victims else self.victims
        if not people:
            return
        pid, start, adj = people[self.draw(len(people))]
        if pid in self.spared:
            return
        if pid in self.candidates.processes and self.draw(4):
            self.candidates.remove(pid)
            self.removals += 1
            return
        try:
            process = self.candidates.register(pid, 0, adj, start)
        except self.refused:
            return
        assert process is not None
        self.registrations += 1
        self.ledger.setdefault((pid, process.start_ticks), set()).add(process.name)
        self.all_names.setdefault(pid, set()).add(process.name)

    def spare(self) -> None:
        """Remove one for good; once the killer knows, it must never be struck."""
        pid = self.people[-1][0]
        if pid in self.spared or pid not in self.candidates.processes:
            return
        name = self.candidates.processes[pid].name
        self.candidates.remove(pid)
        self.spared.add(pid)
        self.settle()
        say("spared", pid, name, time.monotonic_ns())

    def flush(self) -> None:
        """As the steward's loop does after each event."""
        for pid in self.candidates.dead():
            self.candidates.remove(pid)
        self.candidates.assign_sizes()
        while not self.outbox.flush():
            self.outbox.kick()
            select.select([self.notify, self.killer.pidfd], [], [], 0.0005)
        self.records()

    def records(self) -> None:
        """Report what the killer has recorded."""
        for data in self.killer.ring.take():
            record = self.unpack(data)
            pid = record.outcome.pid
            if not pid:
                self.failed += record.outcome.attempts
                continue
            self.kills += 1
            self.tried += record.outcome.attempts - 1
            # The victim stands among the candidates of its record, unless many before it had died by themselves.
            starts = [each.start_ticks for each in record.snapshot.candidates if each.pid == pid]
            names = self.ledger.get((pid, starts[0]), {"?"}) if starts else self.all_names.get(pid, {"?"})
            say("killed", pid, "|".join(sorted(names)), len(starts))
        self.killer.ring.settle()

    def settle(self) -> None:
        """Wait until the killer has carried out everything."""
        deadline = time.monotonic() + PATIENCE_S
        while not (self.outbox.flush() and self.outbox.consumed()):
            assert time.monotonic() < deadline, "the killer does not take in what it is told"
            self.outbox.kick()
            select.select([self.killer.pidfd], [], [], 0.0005)

    def run(self, registrations: int, kills: int) -> None:
        """Until both numbers are reached; stdin's end gives up."""
        turns = 0
        while min(self.registrations, self.removals) < registrations or self.kills < kills:
            if self.orders.ended:
                break
            self.meet()
            for _ in range(BATCH):
                self.step()
            self.flush()
            turns += 1
            if turns % 50 == 0 and self.people:
                self.spare()
            if turns % 200 == 0:
                say("progress", self.registrations, self.kills)

    def end(self) -> None:
        """Remove everybody; count what is left open."""
        for pid in list(self.candidates.processes):
            self.candidates.remove(pid)
        self.settle()
        time.sleep(1.5)  # a victim that was just struck is awaited, and polling lasts a second behind it
        self.records()
        held = self.killer.shared.words[self.layout.FDS_HELD]
        counts = fds_of(os.getpid()), fds_of(self.killer.pid)
        self.killer.shared.words[self.layout.MODE] = self.layout.STOP
        self.outbox.kick()
        self.killer.wait_end(5.0)
        self.killer.end()
        self.records()
        say(
            "done",
            self.registrations,
            self.removals,
            self.recycled,
            self.tried + self.failed,
            self.killer.ring.lost,
            held,
            *counts,
        )
        self.killer.close()


def main() -> None:
    """Arm a killer, let processes come and go, report the counts."""
    parent, root, registrations, kills, breeder = sys.argv[1:6]
    sys.path.insert(0, parent)
    from lmkd_py.daemon import lean

    lean.install()
    churn = Churn(root, int(breeder))
    say("armed", os.getpid(), churn.killer.pid, fds_of(os.getpid()), fds_of(churn.killer.pid))
    churn.run(int(registrations), int(kills))
    churn.end()


if __name__ == "__main__":
    main()
