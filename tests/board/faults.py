"""Fault injection of the lab kernel: allocations of chosen processes fail, so many in a hundred; nobody else's do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lmkd_py.board.qemu.stage import Guest, Stage

KINDS = ("failslab", "fail_page_alloc")
COUNTED = 1_000_000_000  # what `times` counts down from
# Also those that may wait, of one page, and for user space: the usual ones. Each kind has the files it knows.
_SET = """cd /sys/kernel/debug/{kind} && echo 0 >probability && echo 1 >task-filter && echo 1 >interval &&
echo 0 >space && echo 0 >verbose && echo N >ignore-gfp-wait && {{ [ ! -e min-order ] || echo 0 >min-order; }} &&
{{ [ ! -e ignore-gfp-highmem ] || echo N >ignore-gfp-highmem; }} && echo {times} >times &&
echo {percent} >probability"""
_AIM = "for task in /proc/{pid}/task/*; do echo 1 >$task/make-it-fail || exit 1; done"
_AIMED = "cat /proc/{pid}/task/*/make-it-fail | sort | uniq -c"
_SPARE = "for task in /proc/{pid}/task/*; do echo 0 >$task/make-it-fail; done 2>/dev/null; true"
Ask = Callable[[str], str]


class Aimed:
    """One process whose allocations are to fail."""

    def __init__(self, ask: Ask, kind: str, pid: int) -> None:
        self.ask, self.kind, self.pid = ask, kind, pid

    def failed(self) -> int:
        """How many of its allocations have failed."""
        return COUNTED - int(self.ask(f"cat /sys/kernel/debug/{self.kind}/times"))

    def holds(self) -> bool:
        """Every thread of the process is still meant."""
        return bool(re.fullmatch(r"\s*\d+ 1", self.ask(_AIMED.format(pid=self.pid))))


@contextmanager
def failing(ask: Ask, kind: str, percent: int, pid: int) -> Iterator[Aimed]:
    """Within it so many of a process's allocations fail."""
    aimed = Aimed(ask, kind, pid)
    with switched_on(ask, kind, percent):
        ask(_AIM.format(pid=pid))
        try:
            yield aimed
        finally:
            ask(_SPARE.format(pid=pid))


@contextmanager
def switched_on(ask: Ask, kind: str, percent: int) -> Iterator[None]:
    """Within it so many allocations of whoever is meant fail; nobody is yet."""
    ask(_SET.format(kind=kind, times=COUNTED, percent=percent))
    try:
        yield
    finally:
        ask(f"echo 0 >/sys/kernel/debug/{kind}/probability")


class RevivingStage(Stage):
    """Starts the applications of a board again when they have died."""

    def revive(self) -> tuple[Guest, ...]:
        """Start again the applications that died."""
        if not self.apps:
            return self.populate()
        dead = [guest for guest in self.apps if guest not in self.living(self.apps)]
        pids = self._start(*(f"{guest.name}:{guest.adj}:{self.app_mib}" for guest in dead))
        fresh = {guest.name: Guest(guest.name, pid, guest.adj) for guest, pid in zip(dead, pids, strict=True)}
        self.apps = tuple(fresh.get(guest.name, guest) for guest in self.apps)
        return self.apps

    def add(self, name: str, adj: int) -> Guest:
        (pid,) = self._start(f"{name}:{adj}:1")
        return Guest(name, pid, adj)


# Has its own allocations fail and counts the calls that tell it so: open() takes a slab object, the first byte in a
# pipe a page. It holds all the memory it needs before, so that it meets no other failure than those it counts.
CONTROL = """
import ctypes, errno, os, sys
kind = sys.argv[1]
me = os.open("/proc/self/make-it-fail", os.O_WRONLY)

def attempt(path, pipe):
    if kind == "failslab":
        os.close(os.open(path, os.O_RDONLY))
    else:
        os.write(pipe[1], b"x")

def count(path):
    found = {}
    for pipe in pipes:
        try:
            attempt(path, pipe)
        except OSError as error:
            found[error.errno] = found.get(error.errno, 0) + 1
    return found

for meant in (b"0", b"0", b"1"):
    pipes = [os.pipe() for _ in range(100)]
    count("/nowhere")
    for ends in pipes:
        os.close(ends[0]), os.close(ends[1])
    pipes = [os.pipe() for _ in range(100)]
    ctypes.CDLL(None).mlockall(3)
    os.pwrite(me, meant, 0)
    found = count("/proc/meminfo")
    os.pwrite(me, b"0", 0)
    for ends in pipes:
        os.close(ends[0]), os.close(ends[1])
    print(found.pop(errno.ENOMEM, 0), sum(found.values()))
"""


def control(ask: Ask, kind: str, percent: int) -> list[tuple[int, int]]:
    """Of 100 calls each of a process nobody means, and of the same when it is meant: failed with ENOMEM, otherwise."""
    with switched_on(ask, kind, percent):
        said = ask(f"python3 -c {shlex.quote(CONTROL)} {kind}")
    rows = [line.split() for line in said.splitlines()]
    return [(int(failed), int(other)) for failed, other in rows[1:]]
