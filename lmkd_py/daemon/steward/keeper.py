"""Keeps a killer: forks it, waits until it is armed, ends it, finds one that a dead steward left behind."""

from __future__ import annotations

import _socket as socket
import os
import select
import sys
from time import monotonic

from ...core.config import Config
from ...core.vocabulary import ABSENT
from ...kernel.reserve import Reserve
from ...kernel.syscalls import eventfd, memfd_create, pidfd_open, pidfd_send_signal
from .. import shared as layout
from ..inherited import EXIT_BROKEN, EXIT_KERNEL_LACKS, EXIT_NO_MEMORY, Inherited
from ..shared import Shared, shared_bytes
from ..shortage import is_shortage
from .backstop import Backstop
from .killers_file import MEMORY_NAME, living, remember
from .outbox import Outbox
from .ring_reader import RingReader

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
        self._closed = False
        self._demoted = 0

    def text(self) -> list[str]:
        """What it says of itself: domain, triggers, what is missing."""
        return self.shared.read_text().splitlines()

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
        """True once it is dead."""
        return self.pidfd in wait_readable((self.pidfd,), timeout_s)

    def reap(self) -> None:
        """Collect its exit status."""
        if self.child:
            try:
                os.waitpid(self.pid, os.WNOHANG)  # one in uninterruptible sleep is left to whoever comes after us
            except ChildProcessError:
                pass

    def close(self) -> None:
        """Let go of everything that belongs to it."""
        self._closed = True
        if self.outbox is not None:
            self.outbox.discard()
            self.outbox.sock.close()
            os.close(self.outbox.kick_fd)
        os.close(self.pidfd)
        self.shared.close()


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
        else:
            killer.end()
            killer.close()
    return live


def fork_killer(
    root: str,
    config: Config,
    generation: int,
    rows: int,
    never: tuple[int, ...],
    notify_fd: int,
    backstop: Backstop,
    required_layer: int = ABSENT,
    reserve: Reserve | None = None,
) -> Killer:
    """Fork a killer and wait until it is armed in stand-by, every layer up to the required one active.

    reserve: the steward's, for what the killer says of the layers. Raises KillerFailed.
    """
    opened: list[int] = []  # what nobody owns yet
    pid = 0
    try:
        memory = memfd_create(MEMORY_NAME)
        opened.append(memory)
        os.ftruncate(memory, shared_bytes(config.monitor.ring_slots))
        shared = Shared(memory)
        shared.words[layout.RING_SLOTS] = config.monitor.ring_slots
        kick_fd = eventfd()
        opened.append(kick_fd)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arms = backstop.arms
        fds = (memory, theirs.fileno(), kick_fd, notify_fd, *(arms.fds() if arms else ()))
        inherited = Inherited(fds, config, generation, rows, never, arms, backstop.refused)
        if reserve is not None:
            inherited = inherited._replace(layers=LAYER_POOL * reserve.active, notes=(reserve.describe(),))
        pid = os.fork()
        if pid == 0:
            _be_killer(inherited)
        theirs.close()
        killer = Killer(pid, pidfd_open(pid), shared, Outbox(shared, ours, kick_fd), True)
    except (OSError, MemoryError) as error:
        for fd in opened:
            os.close(fd)
        if pid:
            os.kill(pid, SIGKILL)  # our own child, and nobody has waited for it
            os.waitpid(pid, 0)
        raise _failed(error) from None
    try:
        remember(root, pid)
        _await_armed(killer, notify_fd)
        _need_layers(killer, required_layer)
    except BaseException as error:
        killer.end()
        killer.close()
        raise _failed(error) from None
    return killer


def _be_killer(inherited: Inherited) -> None:
    # Never returns.
    try:
        # Imported by the child alone: the steward does not pay for the killer's code.
        from ..killer.child import killer_main

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
            text = killer.shared.read_text() or f"the killer {why}"
            raise KillerFailed(words[layout.EXIT_CODE] or (EXIT_BROKEN if ended else EXIT_KERNEL_LACKS), text)


def _need_layers(killer: Killer, required_layer: int) -> None:
    if required_layer == ABSENT:
        return
    from ..required import shortfall

    notes = [line[5:] for line in killer.text() if line.startswith("note ")]
    text = shortfall(killer.shared.words[layout.LAYERS], required_layer, notes)
    if text:
        raise KillerFailed(EXIT_KERNEL_LACKS, text)
