"""Keeps a killer: forks it, waits until it is armed, hands everything over, ends it, finds an orphan's.

The name of a killer is an abstract socket `lmkd_py.<device>.<inode of the state root>.<0|1>`: two of them, so that a
new killer can have its name while the old one still lives. SO_PEERCRED of a connection names the holder.
"""

from __future__ import annotations

import _socket as socket
import os
import select
import struct
import sys
from time import monotonic

from ...core.config import Config
from ...core.vocabulary import ABSENT
from ...kernel.syscalls import eventfd, memfd_create, pidfd_open, pidfd_send_signal
from .. import shared as layout
from ..inherited import EXIT_BROKEN, EXIT_KERNEL_LACKS, SHARED_FD, Inherited
from ..shared import Shared, shared_bytes
from .outbox import Outbox
from .ring_reader import RingReader

ARM_TIMEOUT_S = 20.0
END_TIMEOUT_S = 5.0
SIGKILL = 9
LAYERS_BUILT = 2  # of the memory guarantee


class KillerFailed(Exception):
    """The killer could not be armed; `code` is the exit code it chose, the text says why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Killer:
    """A killer as the steward sees it. An orphan has no outbox: its own steward is dead."""

    def __init__(self, pid: int, pidfd: int, shared: Shared, slot: int, outbox: Outbox | None, child: bool) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.shared = shared
        self.slot = slot
        self.outbox = outbox
        self.child = child
        self.ring = RingReader(shared)

    def text(self) -> list[str]:
        """What it says of itself: domain, triggers, what is missing."""
        return self.shared.read_text().splitlines()

    def end(self) -> None:
        """Kill it, unless it has ended by itself, and see it dead."""
        if not self.wait_end(0):
            pidfd_send_signal(self.pidfd, SIGKILL)
            self.wait_end(END_TIMEOUT_S)
        self.reap()

    def wait_end(self, timeout_s: float) -> bool:
        """True once it is dead."""
        return bool(select.select([self.pidfd], [], [], timeout_s)[0])

    def reap(self) -> None:
        """Collect its exit status."""
        if self.child:
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                pass

    def close(self) -> None:
        """Let go of everything that belongs to it."""
        if self.outbox is not None:
            self.outbox.discard()
            self.outbox.sock.close()
            os.close(self.outbox.kick_fd)
        os.close(self.pidfd)
        self.shared.close()


def name_of(root: str, slot: int) -> bytes:
    """The abstract socket name of a killer of this state root."""
    status = os.stat(root)
    return b"\0lmkd_py.%x.%x.%d" % (status.st_dev, status.st_ino, slot)


def find_orphan(root: str) -> Killer | None:
    """The killer a dead steward left behind; None when there is none."""
    for slot in (0, 1):
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            probe.connect(name_of(root, slot))
            pid = struct.unpack("=iii", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except OSError:
            continue
        finally:
            probe.close()
        try:
            pidfd = pidfd_open(pid)
            memory = os.open(f"/proc/{pid}/fd/{SHARED_FD}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        return Killer(pid, pidfd, Shared(memory), slot, None, False)
    return None


def fork_killer(
    root: str,
    config: Config,
    generation: int,
    rows: int,
    never: tuple[int, ...],
    notify_fd: int,
    slot: int,
    required_layer: int = ABSENT,
) -> Killer:
    """Fork a killer and wait until it is armed in stand-by, every layer up to the required one active.

    Raises KillerFailed.
    """
    memory = memfd_create("lmkd_py")
    os.ftruncate(memory, shared_bytes(config.monitor.ring_slots))
    shared = Shared(memory)
    shared.words[layout.RING_SLOTS] = config.monitor.ring_slots
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kick_fd = eventfd()
    inherited = Inherited(
        (memory, theirs.fileno(), kick_fd, notify_fd), config, generation, rows, never, name_of(root, slot)
    )
    pid = os.fork()
    if pid == 0:
        try:
            # Imported by the child alone: the steward does not pay for the killer's code.
            from ..killer.child import killer_main

            killer_main(inherited)
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            os._exit(EXIT_BROKEN)
    theirs.close()
    killer = Killer(pid, pidfd_open(pid), shared, slot, Outbox(shared, ours, kick_fd), True)
    deadline = monotonic() + ARM_TIMEOUT_S
    while shared.words[layout.STATE] != layout.ARMED:
        left = deadline - monotonic()
        ready, _, _ = select.select([killer.pidfd, notify_fd], [], [], max(0.0, left))
        if notify_fd in ready:
            os.read(notify_fd, 8)
        if killer.pidfd in ready or left <= 0 or shared.words[layout.STATE] == layout.FAILED:
            killer.end()
            code, text = shared.words[layout.EXIT_CODE], shared.read_text()
            killer.close()
            raise KillerFailed(code or 4, text or "the killer ended before it was armed")
    _need_layers(killer, required_layer)
    return killer


def _need_layers(killer: Killer, required_layer: int) -> None:
    active = killer.shared.words[layout.LAYERS]
    for layer in range(required_layer + 1):
        if not active >> layer & 1:
            said = "; ".join([line[5:] for line in killer.text() if line.startswith("note ")])
            why = said if layer < LAYERS_BUILT else "this version has no such layer"
            killer.end()
            killer.close()
            raise KillerFailed(EXIT_KERNEL_LACKS, f"layer {layer} of the memory guarantee is not active: {why}")
