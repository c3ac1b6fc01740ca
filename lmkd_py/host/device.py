"""A device: commands with their true status, files both ways, over a connection that is made again when it breaks.

Every wait is bounded, by the step's own time and by the device's. Only steps that may be repeated without harm are
tried again, on faults of the connection only.
"""

from __future__ import annotations

import random
import shlex
import threading
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from .adb import shell
from .adb.link import Link, LinkError, LinkTimeout, ProtocolError, ServiceRefused, Unauthorized
from .adb.shell import Collector, OutputTooLong, Result
from .adb.sync import Sending, SyncRefused, SyncSession
from .errors import DeviceError, Fault

T = TypeVar("T")
Command = str | tuple[str, ...] | list[str]
Connect = Callable[[float], Link]  # until time.monotonic()

CONNECT_S = 20.0
STEP_S = 30.0
TRANSFER_S = 300.0
RETRIES = 3
FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 5.0


class RootKind(StrEnum):
    """How commands become root on the device."""

    ADBD = "adbd"  # adbd itself is
    SU_C = "su -c"  # Magisk, KernelSU, APatch
    SU_0 = "su 0"  # userdebug
    NONE = "none"


class Device:
    """One device and one connection to it. Not for two threads at once, but for interrupt()."""

    def __init__(
        self, serial: str, connect: Connect, *, deadline: float = float("inf"), retries: int = RETRIES
    ) -> None:
        self.serial = serial
        self.deadline = deadline  # time.monotonic()
        self.retries = retries
        self.said: list[str] = []  # what a person should hear of it once
        self._connect = connect
        self._link: Link | None = None
        self._root: RootKind | None = None
        self._was_there = False
        self._stopped = threading.Event()

    # -- connection ---------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Make whoever works with it stop soon; from any thread."""
        self._stopped.set()
        if self._link is not None:
            self._link.abort()

    def close(self) -> None:
        """Let the connection go; the next use makes a new one."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def pause(self, seconds: float) -> None:
        """Sleep. Raises DeviceError when interrupted."""
        if self._stopped.wait(max(0.0, seconds)):
            raise self.error(Fault.INTERRUPTED, "interrupted")

    @property
    def features(self) -> frozenset[str]:
        return self._on_link("connect", CONNECT_S, lambda link: link.features)

    def error(self, fault: Fault, text: str, *, hint: str = "", command: Command = "", output: str = "") -> DeviceError:
        return DeviceError(
            fault, self.serial, text, hint=hint, command=command if isinstance(command, str) else shlex.join(command),
            output=output,
        )  # fmt: skip

    def retried(self, work: Callable[[], T]) -> T:
        """The work, again over a new connection when the old one broke. It must bear being done twice."""
        pause = FIRST_PAUSE_S
        for left in range(self.retries, -1, -1):
            try:
                return work()
            except DeviceError as error:
                # adbd may be away for a moment after it dropped us; one that was never there is not waited for.
                passing = error.transient or (error.fault == Fault.OFFLINE and self._was_there)
                if not passing or not left or time.monotonic() + pause > self.deadline:
                    raise
                if self._stopped.wait(pause * random.uniform(0.5, 1.5)):
                    raise self.error(Fault.INTERRUPTED, "interrupted") from error
                pause = min(LAST_PAUSE_S, pause * 2)
        raise AssertionError  # the loop returns or raises

    def _on_link(self, what: str, timeout_s: float, work: Callable[[Link], T]) -> T:
        """Work on the connection, its ways to fail turned into DeviceErrors. A broken connection is closed."""
        until = min(self.deadline, time.monotonic() + timeout_s)
        if self._stopped.is_set():
            raise self.error(Fault.INTERRUPTED, "interrupted")
        try:
            if self._link is None:
                self._link = self._connect(min(until, time.monotonic() + CONNECT_S))
                self._root, self._was_there = None, True
                if self._stopped.is_set():  # meanwhile; from here on interrupt() finds the link itself
                    raise LinkError("interrupted")
            self._link.set_deadline(until)
            return work(self._link)
        except Unauthorized as error:
            self.close()
            raise self.error(
                Fault.UNAUTHORIZED, "it does not trust this host's key",
                hint="accept it on the device's screen, or name another with --key PATH",
            ) from error  # fmt: skip
        except LinkTimeout as error:
            self.close()
            late = time.monotonic() >= self.deadline
            raise self.error(
                Fault.TIMEOUT, f"{what}: no answer in {timeout_s:.0f} s" if not late else f"{what}: out of time",
                hint="raise --timeout, or look whether the device hangs",
            ) from error  # fmt: skip
        except ProtocolError as error:
            self.close()
            raise self.error(Fault.PROTOCOL, f"{what}: it sent {error}", hint="is that an adbd?") from error
        except ServiceRefused as error:
            raise self.error(Fault.REFUSED, f"{what}: adbd refuses {error}") from error
        except LinkError as error:
            connected = self._link is not None
            self.close()
            if self._stopped.is_set():
                raise self.error(Fault.INTERRUPTED, "interrupted") from error
            fault = Fault.TRANSPORT if connected else Fault.OFFLINE
            hint = "" if connected else "is it on, and reachable?"
            raise self.error(fault, f"{what}: {error}" if connected else str(error), hint=hint) from error
        except BaseException:
            self.close()  # in the middle of something: what comes next on it would be misread
            raise

    # -- commands -----------------------------------------------------------------------------------------------

    def run(
        self, command: Command, *, timeout_s: float = STEP_S, root: bool = False,
        limit: int = shell.MAX_OUTPUT, again: bool = False, sink: Callable[[int, bytes], None] | None = None,
        what: str = "",
    ) -> Result:  # fmt: skip
        """Run words (quoted: nothing in them is executed) or a script (a str). Its exit status is in the Result.

        again: it may be repeated when the connection breaks. what: its name in errors. sink: gets (1 or 2, bytes) as
        they come; the Result is then empty but for the status. DeviceError when it could not be run to its end.
        """
        try:
            line = shell.command_line(command)
        except ValueError as error:
            raise self.error(Fault.LOCAL, str(error), command=command) from error
        name = what or " ".join(line.split())
        name = name if len(name) <= 60 else name[:57] + "..."

        def once() -> Result:
            whole = self._as_root(line) if root else line
            return self._on_link(name, timeout_s, lambda link: self._run(link, whole, limit, sink))

        try:
            return self.retried(once) if again else once()
        except OutputTooLong as error:
            raise self.error(Fault.PROTOCOL, f"{name}: {error}", command=line) from error

    def ask(self, command: Command, *, timeout_s: float = STEP_S, root: bool = False, limit: int = 1 << 20) -> Result:
        """run() of something that changes nothing: repeated when the connection breaks."""
        return self.run(command, timeout_s=timeout_s, root=root, limit=limit, again=True)

    def must(self, command: Command, what: str, *, timeout_s: float = STEP_S, root: bool = True) -> Result:
        """run() of a step that may be repeated and has to work; DeviceError(REFUSED) with its output when not."""
        result = self.run(command, timeout_s=timeout_s, root=root, again=True, what=what)
        if result.rc != 0:
            raise self.failed(result, what, command)
        return result

    def failed(self, result: Result, what: str, command: Command) -> DeviceError:
        """The DeviceError for a command that exited with an error."""
        text = result.complaint
        fault = Fault.NO_SPACE if "No space left" in text else Fault.REFUSED
        hint = "free some space on the device" if fault == Fault.NO_SPACE else ""
        return self.error(fault, f"{what} failed with status {result.rc}", hint=hint, command=command, output=text)

    def _run(self, link: Link, line: str, limit: int, sink: Callable[[int, bytes], None] | None) -> Result:
        kept = Collector(limit)
        if "shell_v2" in link.features:
            stream = link.open(shell.v2_service(line))
            try:
                status = shell.run_v2(stream, sink or kept)
            finally:
                stream.close()
            return Result(status, bytes(kept.out), bytes(kept.err))
        service, nonce = shell.wrapped_service(line)
        stream = link.open(service)
        try:
            result = shell.run_wrapped(stream, nonce, limit)
        finally:
            stream.close()
        if sink is None:
            return result
        for kind, data in ((shell.STDOUT, result.out), (shell.STDERR, result.err)):
            if data:
                sink(kind, data)
        return Result(result.rc, b"", b"")

    # -- root ---------------------------------------------------------------------------------------------------

    def root_kind(self) -> RootKind:
        """How to be root there; asked once a connection."""
        if self._root is None:
            kind = RootKind.NONE
            for kind_, words in (
                (RootKind.ADBD, ("id", "-u")),
                (RootKind.SU_C, ("su", "-c", "id -u")),
                (RootKind.SU_0, ("su", "0", "id", "-u")),
            ):
                result = self.ask(words, timeout_s=15.0)
                if result.rc == 0 and result.text == "0":
                    kind = kind_
                    break
            self._root = kind
        return self._root

    def need_root(self) -> None:
        """NO_ROOT, with what to do about it, unless there is a way."""
        self._as_root("")

    def _as_root(self, line: str) -> str:
        kind = self.root_kind()
        if kind == RootKind.ADBD:
            return line
        if kind == RootKind.SU_C:
            return shlex.join(["su", "-c", line])
        if kind == RootKind.SU_0:
            return shlex.join(["su", "0", "sh", "-c", line])
        raise self.error(
            Fault.NO_ROOT, "no way to be root there",
            hint="run adb root (userdebug), or allow the shell in Magisk, KernelSU or APatch",
        )  # fmt: skip

    # -- files --------------------------------------------------------------------------------------------------

    def send_files(self, files: Callable[[], Iterable[Sending]], *, timeout_s: float = TRANSFER_S) -> int:
        """Push files as they are, by the file service; bytes sent. Called anew after each broken connection."""

        def work(link: Link) -> int:
            return self._session(link, lambda session: session.push(files()))

        return self._files("push", timeout_s, work)

    def fetch_files(
        self, paths: Iterable[str], sink: Callable[[str, bytes], object], limit: int, *, timeout_s: float = TRANSFER_S
    ) -> None:
        """Pull files by the file service; a piece and its path go to `sink`. Not repeated: see pull.py for that."""
        self._on_files("pull", timeout_s, lambda link: self._session(link, lambda one: one.pull(paths, sink, limit)))

    def _files(self, what: str, timeout_s: float, work: Callable[[Link], T]) -> T:
        return self.retried(lambda: self._on_files(what, timeout_s, work))

    def _on_files(self, what: str, timeout_s: float, work: Callable[[Link], T]) -> T:
        try:
            return self._on_link(what, timeout_s, work)
        except SyncRefused as error:
            full = "No space left" in str(error)
            fault, hint = (Fault.NO_SPACE, "free some space on the device") if full else (Fault.REFUSED, "")
            raise self.error(fault, f"{what} refused: {error}", hint=hint) from error

    def _session(self, link: Link, work: Callable[[SyncSession], T]) -> T:
        session = SyncSession(link.open("sync:"))
        done = work(session)
        session.quit()
        return done
