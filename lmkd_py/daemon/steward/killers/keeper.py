"""Keeps a killer: forks it, waits until it is armed, ends it, finds one that a dead steward left behind."""

from __future__ import annotations

import _socket as socket
import gc
import os
import select
import sys
from errno import ENOMEM
from time import monotonic
from typing import Protocol

from ....core.config import Config
from ....core.vocabulary import ABSENT
from ....kernel.acting.syscalls import eventfd, pidfd_open, pidfd_send_signal
from ....kernel.bpf import AttachedProgram
from ....kernel.protection.lasting import make_lasting
from ....kernel.protection.reserve import Reserve
from ....wire.report import Report
from ... import shared as layout
from ...inherited import EXIT_BROKEN, EXIT_KERNEL_LACKS, EXIT_NO_MEMORY, Inherited, say
from ...shared import Shared, shared_bytes
from ...shortage import is_shortage
from ...slow_closers import copies_of, take_copies
from ..candidates.outbox import Outbox
from ..filing.ring_reader import RingReader
from .killers_file import bequests, living, remember

ARM_TIMEOUT_S = 60.0  # its dry run took 18 s on an emulated CPU that had many neighbours
END_TIMEOUT_S = 5.0
SIGKILL = 9
LAYER_POOL = 1 << 2


class KillerFailed(Exception):
    """The killer could not be armed; `code` is the exit code it chose, the text says why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Killer:
    """A killer as the steward sees it. An orphan has no outbox: its own steward is dead."""

    def __init__(self, pid: int, pidfd: int, shared: Shared, outbox: Outbox | None, child: bool) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.shared = shared
        self.outbox = outbox
        self.child = child
        self.ring = RingReader(shared)
        self.report = Report()  # what it says of itself; empty before it is armed, and of an orphan
        self.copies: tuple[int, ...] = ()  # of what it would be slow to close when it dies
        self._closed = False
        self._demoted = 0

    def behind(self) -> bool:
        """True while there is something it has not taken yet."""
        return self.outbox is not None and bool(self.outbox.backlog)

    def demoted(self) -> bool:
        """True once after the killer moved somebody down because of an oom_score_adj we have not told it."""
        known, self._demoted = self._demoted, self.shared.words[layout.DEMOTED]
        return self._demoted != known

    def end(self) -> None:
        """Kill it, unless it has ended by itself, and see it dead."""
        if self._closed:
            return
        if not self.wait_end(0):
            pidfd_send_signal(self.pidfd, SIGKILL)
            self.wait_end(END_TIMEOUT_S)
        self.reap()

    def wait_end(self, timeout_s: float) -> bool:
        """False if the killer is still alive after this time."""
        return self.pidfd in wait_readable((self.pidfd,), timeout_s)

    def reap(self) -> None:
        """Collect its exit status, if it is a child."""
        if self.child:
            try:
                os.waitpid(self.pid, os.WNOHANG)  # one in uninterruptible sleep is left to whoever comes after us
            except ChildProcessError:
                pass

    def close(self, forget: bool = True) -> None:
        """Let go of everything that belongs to it; of what it recorded, too, unless `forget` is False."""
        if self._closed:
            return
        if forget:
            self.shared.forget()
        if self.outbox is not None:
            self.outbox.discard()
        fds = (*self.copies, *((self.pidfd,) if self.pidfd >= 0 else ()))
        self._closed = True  # nothing from here on takes memory
        if self.outbox is not None:
            self.outbox.sock.close()
            os.close(self.outbox.kick_fd)
        for fd in fds:
            os.close(fd)
        self.copies = ()
        self.shared.close()


class Loaded(Protocol):
    """The strike in the kernel, or why there is none: what a killer has to know of a KernelStrike."""

    attached: AttachedProgram | None
    refused: str


def wait_readable(fds: tuple[int, ...], timeout_s: float) -> list[int]:
    """Those of fds that are readable or hung up. Not select(), which ends at descriptor 1024."""
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return [fd for fd, _ in poller.poll(max(0, int(timeout_s * 1000)))]


def find_orphan(root: str) -> Killer | None:
    """The live killer a dead steward left behind; None when there is none. Those in stand-by are ended."""
    live = None
    for pid, pidfd, shared in living(root):
        killer = Killer(pid, pidfd, shared, None, False)
        if live is None and shared.words[layout.MODE] == layout.LIVE:
            live = killer
            killer.copies = copies_of(pid, pidfd)
        else:
            killer.end()
            killer.close()
    return live


def find_dead(root: str, orphan: Killer | None) -> list[Killer]:
    """Killers that ended together with their steward: what they recorded nobody has filed. No pidfd, only memory."""
    path = "" if orphan is None else orphan.shared.path
    return [Killer(shared.words[layout.KILLER_PID], -1, shared, None, False) for shared in bequests(root, path)]


def fork_killer(
    root: str,
    config: Config,
    generation: int,
    rows: int,
    never: tuple[int, ...],
    notify_fd: int,
    kernel_strike: Loaded,
    required_layer: int = ABSENT,
    reserve: Reserve | None = None,
) -> Killer:
    """Fork a killer and wait until it is armed in stand-by, every layer up to the required one active.

    reserve: the steward's, for what the killer says of the layers. Raises KillerFailed.
    """
    try:
        # Before the fork: it costs the steward 0.4 MB, but a killer that imports its own code is live 5 ms later, 36 ms
        # on busy CPUs.
        from ...killer import child  # noqa: F401
    except ImportError as error:
        raise KillerFailed(EXIT_BROKEN, f"the killer broke: {error}") from None
    opened: list[int] = []  # what nobody owns yet
    path = ""
    pid = 0
    try:
        memory, path = make_lasting(root, shared_bytes(config.monitor.trace.ring_slots))
        opened.append(memory)
        shared = Shared(memory, path)
        shared.words[layout.RING_SLOTS] = config.monitor.trace.ring_slots
        kick_fd = eventfd()
        opened.append(kick_fd)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        attached = kernel_strike.attached
        fds = (memory, theirs.fileno(), kick_fd, notify_fd, *(attached.fds() if attached else ()))
        inherited = Inherited(fds, config, generation, rows, never, attached, kernel_strike.refused)
        if reserve is not None:
            inherited = inherited._replace(layers=LAYER_POOL * reserve.active, notes=(reserve.note,))
        pid = _fork(inherited)
        theirs.close()
        killer = Killer(pid, pidfd_open(pid), shared, Outbox(shared, ours, kick_fd), True)
    except (OSError, MemoryError) as error:
        for fd in opened:
            os.close(fd)
        if path:
            os.unlink(path)
        if pid:
            os.kill(pid, SIGKILL)  # our own child, and nobody has waited for it
            os.waitpid(pid, 0)
        raise _failed(error) from None
    try:
        _remember(root, pid)
        _await_armed(killer, notify_fd)
        killer.report = killer.shared.read_report()
        killer.copies = take_copies(ours)
        _need_layers(killer, required_layer)
    except BaseException as error:
        killer.end()
        killer.close()
        raise _failed(error) from None
    return killer


def _remember(root: str, pid: int) -> None:
    try:
        remember(root, pid)
    except OSError as error:
        if is_shortage(error):
            raise
        # Better a killer that a later steward has to look for than none: the disk, or what lies there, is in the way.
        say(f"lmkd-py: killer {pid} is not in {root}/killers: {error.strerror}; guarding goes on", sys.stderr)


def _fork(inherited: Inherited) -> int:
    gc.freeze()  # what the steward has is no garbage to the killer, so that it need not look through it
    try:
        pid = os.fork()
        if pid == 0:
            _be_killer(inherited)
    finally:
        gc.unfreeze()
    return pid


def _be_killer(inherited: Inherited) -> None:
    # Never returns.
    try:
        from ...killer.child import killer_main

        killer_main(inherited)
    except MemoryError:
        os._exit(EXIT_NO_MEMORY)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(EXIT_BROKEN)


def _failed(error: BaseException) -> BaseException:
    return KillerFailed(EXIT_NO_MEMORY, f"no memory for a killer: {error}") if is_shortage(error) else error


def _await_armed(killer: Killer, notify_fd: int) -> None:
    words = killer.shared.words
    deadline = monotonic() + ARM_TIMEOUT_S
    while words[layout.STATE] != layout.ARMED:
        left = deadline - monotonic()
        ready = wait_readable((killer.pidfd, notify_fd), left)
        if notify_fd in ready:
            os.read(notify_fd, 8)
        if killer.pidfd in ready or left <= 0 or words[layout.STATE] == layout.FAILED:
            killer.end()
            ended = killer.pidfd in ready
            why = "ended before it was armed" if ended else f"was not armed within {ARM_TIMEOUT_S:g} s and was ended"
            text = killer.shared.read_report().failure or f"the killer {why}"
            raise KillerFailed(words[layout.EXIT_CODE] or EXIT_BROKEN, text)


def _need_layers(killer: Killer, required_layer: int) -> None:
    if required_layer == ABSENT:
        return
    from ...required import missing_layers, reasons, shortfall

    active, notes = killer.shared.words[layout.LAYERS], killer.report.notes
    text = shortfall(active, required_layer, notes)
    if text:
        # What there was no memory for may be there in a moment: an exit code that a unit restarts.
        why = [note.errno for layer in missing_layers(active, required_layer) for note in reasons(layer, notes)]
        raise KillerFailed(EXIT_NO_MEMORY if ENOMEM in why else EXIT_KERNEL_LACKS, text)
