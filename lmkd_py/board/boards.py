"""The boards that were brought up on this machine by this user: one record each, kept by the board itself.

A record is DIRECTORY/NAME.json; it is believed only while its process lives (pid and start time). What a killed
board leaves behind is removed by whoever looks next; its processes and cgroups are its guardian's matter.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO

from ..wire.local_files import read_bounded
from .errors import SandboxError
from .launch import PACKAGE_ROOT
from .virtual_device import wait_answers, write_keys

# A memory cgroup with applications behind the endpoint; the endpoint alone; an emulated ARM board.
KINDS = ("sandbox", "plain", "qemu")
MAX_BYTES = 1 << 16  # of a record
KEYS = ".keys"  # of those whom a board lets in
SNAPSHOT = ".snapshot"  # a directory beside the records; it outlives its board
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


@dataclass(frozen=True, slots=True)
class Board:
    """One board that is up. `root` is the device's tree, `log` what it said."""

    name: str
    kind: str
    address: str
    pid: int
    start_ticks: int
    root: str
    log: str


def default_directory() -> str:
    """Where the records of this user lie: on a disk, since the devices' trees lie beside them."""
    chosen = os.environ.get("LMKD_BOARDS")
    if chosen:
        return os.path.abspath(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "lmkd_py", "boards")


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if there is none, or only its zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def check_name(name: str) -> str:
    """The name if it can be one: letters, digits, `.`, `_`, `-`, at most 48. SandboxError otherwise."""
    if not _NAME.fullmatch(name):
        raise SandboxError(f"board name {name!r}; wanted at most 48 of letters, digits, '.', '_', '-'")
    return name


def _is_up(lines: IO[bytes], patience_s: float, say: Callable[[str], None]) -> bool:
    """Passes on what a new board says until it is `up`; False if it ends or is silent for too long."""
    # Not readline(): what it has read ahead would be out of select()'s sight.
    data = b""
    while select.select([lines], [], [], patience_s)[0]:
        piece = os.read(lines.fileno(), 4096)
        if not piece:
            return False
        *whole, data = (data + piece).split(b"\n")
        for line in whole:
            if line == b"up":
                return True
            say(line.decode("utf-8", "replace"))
    return False


class Boards:
    """The boards recorded in one directory."""

    def __init__(self, directory: str = "") -> None:
        self.directory = directory or default_directory()

    def path(self, name: str, suffix: str) -> str:
        """A file of this board beside its record."""
        return os.path.join(self.directory, check_name(name) + suffix)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        fd = os.open(os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def running(self) -> list[Board]:
        """Boards that are up, by name. Removes the remains of those that are not."""
        if not os.path.isdir(self.directory):
            return []
        with self._locked():
            return self._alive()

    def _alive(self) -> list[Board]:
        found = []
        for file in sorted(os.listdir(self.directory)):
            name, suffix = os.path.splitext(file)
            if suffix == ".json" and _NAME.fullmatch(name):
                board = self._read(name)
                if board is not None:
                    found.append(board)
                else:
                    self.remove(name)
        return found

    def _read(self, name: str) -> Board | None:
        try:
            board = Board(**json.loads(read_bounded(self.path(name, ".json"), MAX_BYTES, 0.0)))
        except (OSError, ValueError, TypeError):
            return None
        return board if start_ticks(board.pid) == board.start_ticks != 0 else None

    def write(self, board: Board) -> None:
        """Record a board; the board itself does this once it answers."""
        path = self.path(board.name, ".json")
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(board), file)
        os.replace(path + ".new", path)

    def remove(self, name: str) -> None:
        """Remove the record, its socket, its keys and the device's tree; the log stays."""
        shutil.rmtree(self.path(name, ".root"), ignore_errors=True)
        for suffix in (".json", ".ctl", KEYS, ".cpio", ".disk", f".root{KEYS}"):
            try:
                os.unlink(self.path(name, suffix))
            except FileNotFoundError:
                pass

    def up(
        self,
        kind: str,
        name: str = "",
        port: int = 0,
        options: tuple[str, ...] = (),
        patience_s: float = 90.0,
        say: Callable[[str], None] = lambda line: None,
        keys: Sequence[bytes] | None = None,
    ) -> Board:
        """Start a board in the background and return once it answers. SandboxError if it does not.

        `say` gets lines of progress; patience_s is for each of them. keys: lines of an adbkey.pub; who
        has one of them is let in (default: this user's own).

        options: words for the endpoint's command line; of a qemu board its profile and the
        snapshot it goes on from, each may be empty. Should this process die before it
        returns, so does the board.
        """
        if kind not in KINDS:
            raise SandboxError(f"board kind {kind!r}; wanted one of {', '.join(KINDS)}")
        with self._locked():
            boards = self._alive()
            taken = {board.name for board in boards}
            name = check_name(name or next(f"{kind}{n}" for n in range(1, 1000) if f"{kind}{n}" not in taken))
            for board in boards:
                if board.name == name:
                    raise SandboxError(f"board {name} is up already, at {board.address}; take another name")
            self.remove(name)
            write_keys(self.path(name, KEYS), keys)
            return self._start(kind, name, port, options, patience_s, say)

    def _start(
        self, kind: str, name: str, port: int, options: tuple[str, ...], patience_s: float, say: Callable[[str], None]
    ) -> Board:
        log = self.path(name, ".log")
        words = [sys.executable, "-m", "lmkd_py.board.background", self.directory, kind, name, str(port), *options]
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            # cwd: where the package is found, whoever calls; stdin: closes when we die, and the board with it.
            process = subprocess.Popen(
                words,
                cwd=PACKAGE_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                start_new_session=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            board = self._read(name) if _is_up(process.stdout, patience_s, say) else None
            if board is None:
                process.terminate()
                process.wait(30)
                self.remove(name)
                with open(log, errors="backslashreplace") as file:
                    lines = file.read(4000).strip().splitlines()
                raise SandboxError(
                    f"board {name} did not come up: {lines[-1] if lines else f'no answer in {patience_s:g} s'}"
                )
            wait_answers(board.address, patience_s)
            process.stdin.write(b"stay\n")
            process.stdin.flush()
        return board

    def find(self, name: str) -> Board:
        """The board of this name. SandboxError if none is up."""
        board = next((board for board in self.running() if board.name == name), None)
        if board is None:
            raise SandboxError(f"no board {name!r} is up; wanted one of: {', '.join(self.names()) or 'none is'}")
        return board

    def down(self, name: str, patience_s: float = 60.0) -> Board:
        """End a board and wait until all of it is gone. SandboxError if there is none of this name."""
        board = self.find(name)
        try:
            pidfd = os.pidfd_open(board.pid)
        except ProcessLookupError:
            self.remove(name)
            return board
        try:
            if start_ticks(board.pid) == board.start_ticks:
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
                if not select.select([pidfd], [], [], patience_s)[0]:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    raise SandboxError(f"board {name} did not end within {patience_s:g} s and was killed: {board.log}")
        finally:
            os.close(pidfd)
        self.remove(name)
        return board

    def down_all(self) -> tuple[Board, ...]:
        """End all boards and return those that were up."""
        return tuple(self.down(name) for name in self.names())

    def names(self) -> tuple[str, ...]:
        return tuple(board.name for board in self.running())
