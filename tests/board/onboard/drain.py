"""The worst case of a killer, again and again: `python3 -m tests.board.onboard.drain PROTECTED UNPROTECTED`.

Before each wakeup every page that GFP_ATOMIC can get is taken, as interrupts may; behind it they are given back. The
killer is the daemon's (forked, rehearsed, locked); its evaluation samples, decides and strikes as ever. Cell `ours` is
that alone, and its victims die. In the others something that needs memory happens in the middle of the evaluation, as
it would in a killer written the usual way, and strikes are signal 0. Each cell runs PROTECTED times with the window of
PF_MEMALLOC and UNPROTECTED times without, in turns.

Says a line a cell and kind: `cell NAME WINDOW N RECLAIMS IOCTLS STRUCK DECIDED`, and four times in us: the call's
median and maximum, the whole evaluation's median and maximum.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic_ns
from typing import NamedTuple

from lmkd_py.core import polling
from lmkd_py.core.config import Config, MonitorConfig, PolicyConfig, StrikeConfig, TriggerConfig
from lmkd_py.core.state import INITIAL
from lmkd_py.core.vocabulary import ABSENT, Level, WakeupKind
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.killer import child
from lmkd_py.daemon.killer.loop import VICTIM_SLOT, Loop
from lmkd_py.daemon.steward.killers.keeper import fork_killer
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike
from lmkd_py.kernel.acting.syscalls import eventfd, pidfd_open
from lmkd_py.kernel.sensing.perf import EventCounter

TAKE, KEEP, GIVE, ALLOC = 0xA941, 0xA942, 0xA943, 0xA944
COUNTED = ("vmscan:mm_vmscan_direct_reclaim_begin", "syscalls:sys_enter_ioctl")
EVENT, CRITICAL = int(WakeupKind.EVENT), int(Level.CRITICAL)
MIB = 1 << 20
LEFT_MIB, FILLER_MIB, MOST_FILLERS = 24, 8, 24  # what the fillers leave available, what each takes
BYSTANDER_ROW = 0

_libc = ctypes.CDLL(None, use_errno=True)


def drain(fd: int, request: int, value: int = 0) -> int:
    """One ioctl of the test module. Raises OSError."""
    result: int = _libc.ioctl(fd, ctypes.c_ulong(request), ctypes.c_ulong(value))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"drain {request:#x}")
    return result


def open_and_read(_: int) -> None:
    """As a killer does that does not keep its files open."""
    with open("/proc/meminfo", "rb", buffering=0) as file:
        file.read()


def scan(_: int) -> None:
    """As a killer does that looks for victims when it needs one."""
    os.listdir("/proc")


def map_and_touch(_: int) -> None:
    """Grow a heap by 64 KiB."""
    with mmap.mmap(-1, 64 << 10, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as room:
        for at in range(0, len(room), mmap.PAGESIZE):
            room[at] = 1


def pipe(_: int) -> None:
    """Send 64 KiB through a pipe."""
    receive, send = os.pipe()
    os.write(send, bytes(64 << 10))
    os.close(receive)
    os.close(send)


def get_pages(fd: int, order: int) -> None:
    """A block of pages."""
    drain(fd, ALLOC, order)


CELLS: dict[str, Callable[[int], object]] = {
    "ours": lambda _: None,
    "open": open_and_read,
    "scan": scan,
    "map": map_and_touch,
    "pipe": pipe,
    "page": lambda fd: get_pages(fd, 0),
    "four_pages": lambda fd: get_pages(fd, 2),
}


class Turn(NamedTuple):
    """What one wakeup cost its thread: reclaims, calls, times."""

    reclaims: int
    ioctls: int
    struck: int
    decided: int  # 1: policy said kill
    call_us: float
    took_us: float


class DrainLoop(Loop):
    """The armed loop; it does not wait for pressure."""

    def run(self) -> int:
        """Measure every cell of the table, then end."""
        while self.words[layout.MODE] != layout.LIVE:
            self.polls.wait(10)
            self.inbox.drain()
        self.fd = os.open("/dev/lmkd_drain", os.O_RDWR)
        self.call: Callable[[int], object] = CELLS["ours"]
        self.call_us = 0.0
        sample = self.evaluator.domain.sample

        def with_call(*values: int) -> object:
            began = monotonic_ns()
            try:
                self.call(self.fd)
            except MemoryError:
                pass  # an answer, too: what counts is who had to wait
            except OSError as error:
                if error.errno not in (errno.ENOMEM, errno.ENFILE):  # the latter of a pipe without an inode
                    raise
            self.call_us = (monotonic_ns() - began) / 1000
            return sample(*values)  # type: ignore[arg-type]

        self.evaluator.domain.sample = with_call  # type: ignore[method-assign, assignment]
        window, kill = self.window, self.evaluator.striker.signal
        with EventCounter(COUNTED) as self.counter:
            for name, call in CELLS.items():
                rows: dict[bool, list[Turn]] = {True: [], False: []}
                self.call = call
                self.evaluator.striker.signal = kill if name == "ours" else 0
                for turn in range(PROTECTED):
                    self.window = window
                    rows[True].append(self.turn())
                    if turn * UNPROTECTED // PROTECTED != (turn + 1) * UNPROTECTED // PROTECTED:
                        self.window = None
                        rows[False].append(self.turn())
                with open(RESULTS, "a") as file:
                    file.writelines(told(name, kind, rows[kind]) + "\n" for kind in (True, False))
        return 0

    def turn(self) -> Turn:
        """One wakeup while all memory is taken."""
        self.evaluator.state = INITIAL._replace(started=1)
        drain(self.fd, TAKE)
        before, calls = self.counter.read(), self.words[layout.CALLS]
        began = monotonic_ns()
        self._evaluate(began, EVENT, CRITICAL, ABSENT)
        if self.window is not None and self.window.is_open:
            self.window.end()
        took_us = (monotonic_ns() - began) / 1000
        reclaims, ioctls = (now - then for now, then in zip(self.counter.read(), before, strict=True))
        drain(self.fd, GIVE)
        struck = 1 if self.evaluator.outcome.pid else 0
        if self.evaluator.striker.signal:
            self.polls.wait(10_000)
            if self.polls.revents(VICTIM_SLOT):
                self._victim_died(monotonic_ns())
        self.awaited.forget()
        self.polls.clear(VICTIM_SLOT)
        self.poll = polling.IDLE
        time.sleep(0.03)  # for all others
        return Turn(reclaims, ioctls, struck, self.words[layout.CALLS] - calls, self.call_us, took_us)


def told(name: str, window: bool, rows: list[Turn]) -> str:
    """One line of the result, in the form the module's docstring gives."""
    calls, takes = [row.call_us for row in rows], [row.took_us for row in rows]
    counts = (len(rows), *(sum(row[column] for row in rows) for column in range(4)))
    times = (median(calls), max(calls), median(takes), max(takes))
    return " ".join(map(str, ("cell", name, int(window), *counts, *map(round, times))))


def available_mib() -> int:
    text = Path("/proc/meminfo").read_text()
    return int(text.partition("MemAvailable:")[2].split()[0]) // 1024


def oom_kills() -> int:
    """Kills by the kernel's OOM killer since boot."""
    return int(Path("/proc/vmstat").read_text().partition("\noom_kill ")[2].split()[0])


class Fillers:
    """Processes that leave little memory available. What they have can be swapped: reclaim is slow here, not in vain.

    Each drought has kswapd push some of it out; the oldest then goes and a new one comes, or all would be in swap.
    """

    def __init__(self) -> None:
        self.pids: list[int] = []

    def keep_up(self) -> None:
        """Start fillers until LEFT_MIB are available."""
        while available_mib() > LEFT_MIB:
            if len(self.pids) >= MOST_FILLERS:
                self.end(self.pids.pop(0))
            self.pids.append(self._start())

    def _start(self) -> int:
        ready, done = os.pipe()
        pid = os.fork()
        if not pid:
            # The shell that started us is nobody's victim, and a kernel that finds none panics.
            Path("/proc/self/oom_score_adj").write_text("500")
            room = mmap.mmap(-1, FILLER_MIB * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for at in range(0, len(room), mmap.PAGESIZE):
                room[at : at + 8] = os.urandom(8)
            os.write(done, b"1")
            while True:
                signal.pause()
        os.close(done)
        os.read(ready, 1)  # ends, too, when the kernel took it for its victim
        os.close(ready)
        return pid

    def end(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def main() -> None:
    """Play the steward: start victims, register them, wait."""
    child.Loop = DrainLoop  # type: ignore[attr-defined]
    monitor = MonitorConfig(
        strike=StrikeConfig(enabled=0), triggers=TriggerConfig(vmpressure=0, psi_some_stall_ms=1000)
    )
    nobody = KernelStrike(monitor, "", None, "not of this test")
    never = (os.getpid(), os.getppid())
    root = tempfile.mkdtemp()
    # AOSP's estimate of free swap: with zram measured, no rule asks for a kill before swap is nearly full.
    policy = PolicyConfig(swap_compression_ratio=1)
    killer = fork_killer(root, Config(policy, monitor), 1, 512, never, eventfd(), nobody)
    assert killer.outbox is not None
    victims = []
    for row in range(PROTECTED + UNPROTECTED + 1):
        pid = os.posix_spawn("/usr/bin/sleep", ["sleep", "10000"], {})
        victims.append(pid)
        values = (pid, 0, 300 if row == BYSTANDER_ROW else 900, 50, 1, row, 0)
        killer.outbox.put(layout.ADD, row, values, (pidfd_open(pid),))
    fillers = Fillers()
    fillers.keep_up()
    while not killer.outbox.consumed():
        killer.outbox.flush()
        time.sleep(0.01)
    killer.shared.words[layout.MODE] = layout.LIVE
    killer.outbox.kick()
    while not killer.wait_end(0.05):
        fillers.keep_up()
    killer.end()
    print("oom_kills", oom_kills())
    print("exit", killer.shared.words[layout.EXIT_CODE], killer.report.domain)
    for pid in fillers.pids:
        fillers.end(pid)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print(Path(RESULTS).read_text(), flush=True)


RESULTS = "/tmp/drain.results"
if __name__ == "__main__":
    PROTECTED, UNPROTECTED = int(sys.argv[1]), int(sys.argv[2])
    main()
