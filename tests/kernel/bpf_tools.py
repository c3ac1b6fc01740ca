"""An armed strike on a sandbox: victims on its list, a killer that answers or is stopped, reclaim that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.bpf import VARIANT_LIST, AttachedProgram, BpfRefused, Guard, Order, elf, load_apart
from tests.support import REPO_ROOT, require, wait_until

LIMIT_MIB = 96
LIST = (VARIANT_LIST,)


def start_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def rows_of(apps: Sequence[App]) -> list[tuple[int, int, int]]:
    """Kill-list rows of these applications, in their order."""
    return [(app.pid, app.adj, start_ticks(app.pid)) for app in apps]


def close(attached: AttachedProgram) -> None:
    """Close all fds of a loaded program."""
    for fd in (attached.guard_fd, attached.rows_fd, attached.log_fd, attached.ring_fd, *attached.link_fds):
        os.close(fd)


def load(order: Order, cache: Path, pin_dir: str = "") -> AttachedProgram:
    """What this kernel has to be able to load: where CI runs it is, elsewhere the test is skipped with the refusal."""
    try:
        return load_apart(order, str(cache), pin_dir)
    except BpfRefused as refusal:
        require(False, f"a kernel that takes this strike (Linux 6.13, BTF, root): {refusal}")
        raise


def spoil(monkeypatch: pytest.MonkeyPatch, is_meant: Callable[[elf.Program, bytes], bool]) -> None:
    """The verifier refuses the programs that are meant: the exit, their last instruction, is missing."""
    real = elf.fill

    def fill(program: elf.Program, maps: dict[str, int], functions: dict[str, int]) -> bytes:
        code = real(program, maps, functions)
        return code[:-8] if is_meant(program, code) else code

    monkeypatch.setattr(elf, "fill", fill)


@contextmanager
def guarded(
    board: Sandbox, cache: Path, pin_dir: str = "", **limits: object
) -> Iterator[tuple[Guard, AttachedProgram]]:
    """The strike attached to the domain of a board, not armed."""
    order = Order(board.place.psi, **{"variants": LIST, **limits})  # type: ignore[arg-type]
    attached = load(order, cache, pin_dir)
    guard = Guard(attached)
    try:
        yield guard, attached
    finally:
        guard.disarm()
        close(attached)


class KillerProcess:
    """The answering killer; `stopped` keeps it from ever waking."""

    def __init__(self, attached: AttachedProgram) -> None:
        fds = (attached.guard_fd, attached.rows_fd, attached.log_fd, attached.ring_fd)
        command = [sys.executable, "-m", "tests.kernel.bpf_killer", str(attached.variant), *map(str, fds)]
        self.process = subprocess.Popen(command, cwd=REPO_ROOT, pass_fds=fds, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "waiting\n"

    def stop(self) -> None:
        """SIGSTOP, and wait until every thread of it has stopped."""
        os.kill(self.process.pid, signal.SIGSTOP)
        state = Path(f"/proc/{self.process.pid}/stat")
        wait_until("it has stopped", lambda: state.read_text().rpartition(")")[2].split()[0] == "T")

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def killer_of(attached: AttachedProgram) -> Iterator[KillerProcess]:
    """An answering killer while the context lasts."""
    killer = KillerProcess(attached)
    try:
        yield killer
    finally:
        killer.end()


def wait_events(guard: Guard, more: int) -> None:
    """Return after `more` further reclaim events of the domain."""
    enough = guard.counters().events + more
    wait_until(f"{more} more events", lambda: guard.counters().events >= enough, seen=guard.counters)
