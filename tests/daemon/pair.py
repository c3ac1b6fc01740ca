"""Both ends of the inbox in one process: what the steward tells, and the roster that the killer makes of it."""

from __future__ import annotations

import _socket as socket
import os

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.killer.inbox import Inbox
from lmkd_py.daemon.killer.roster import Roster
from lmkd_py.daemon.shared import Shared, shared_bytes
from lmkd_py.daemon.steward.candidates.outbox import Outbox
from lmkd_py.kernel.acting.syscalls import eventfd, memfd_create


class Pair:
    """The steward's and the killer's ends of the queues, in one process."""

    def __init__(self) -> None:
        memory = memfd_create("test")
        os.ftruncate(memory, shared_bytes(8))
        self.shared = Shared(memory)
        self.shared.words[layout.RING_SLOTS] = self.shared.ring_slots
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.kick = eventfd()
        self.outbox = Outbox(self.shared, ours, self.kick)
        self.roster = Roster(4096)
        self.inbox = Inbox(self.shared, theirs, self.roster, PolicyConfig(), 1)

    def add(self, row: int, adj: int = 900, path: str = "/dev/null") -> None:
        self.outbox.put(layout.ADD, row, (1000 + row, 0, adj, ABSENT, 7, row, 0), (os.open(path, os.O_RDONLY),))

    def carry(self) -> None:
        while not (self.outbox.flush() and self.outbox.consumed()):
            self.inbox.drain()

    def close(self) -> None:
        for row in range(self.roster.rows):
            self.roster.drop(row)
        self.outbox.discard()
        for end in (self.outbox.sock, self.inbox.sock):
            end.close()
        os.close(self.kick)
        self.shared.close()
