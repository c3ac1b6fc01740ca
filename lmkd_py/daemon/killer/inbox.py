"""What the steward tells the killer: records out of shared memory, file descriptors out of a socket.

Receiving and closing descriptors allocates nothing in the receiver. The sender passes the descriptors of a record
before it publishes the record, so they are there when the record is seen.
"""

from __future__ import annotations

import _socket as socket
import os
from errno import EMFILE
from typing import NamedTuple

from ...core.config import PolicyConfig
from .. import shared as layout
from ..shared import (
    FD_BATCH,
    INBOX_BYTES,
    INBOX_HEAD,
    INBOX_OFFSET,
    INBOX_RECORD,
    INBOX_SLOTS,
    INBOX_TAIL,
    WORD_MASK,
    Shared,
)
from .roster import Roster

ANCILLARY_BYTES = socket.CMSG_SPACE(253 * 4)  # SCM_MAX_FD descriptors


class Adopted(NamedTuple):
    """A victim that a former killer struck and whose death nobody has seen yet."""

    pid: int
    start_ticks: int
    struck_ms: int
    pidfd: int


class Inbox:
    """The killer's end. `policy` is the one in force, replaced as a whole, with its config generation."""

    def __init__(
        self, shared: Shared, sock: socket.socket, roster: Roster, policy: PolicyConfig, generation: int
    ) -> None:
        self.shared = shared
        self.sock = sock
        self.roster = roster
        self.policy = policy
        self.generation = generation
        self.adopted: Adopted | None = None
        self.offers = 0  # records that may have brought somebody to strike
        self._fds: list[int] = []

    def drain(self) -> int:
        """Carry out all that is wholly visible; returns how many records that was."""
        words, shared_map = self.shared.words, self.shared.map
        tail = words[INBOX_TAIL]
        done = 0
        while tail != words[INBOX_HEAD]:
            at = INBOX_OFFSET + (tail % INBOX_SLOTS) * INBOX_BYTES
            behind = at + INBOX_RECORD.size
            data = shared_map[at:behind]
            fields = INBOX_RECORD.unpack(data)
            if fields[0] != tail or shared_map[behind : at + INBOX_BYTES] != layout.inbox_check(data):
                break  # its head word is here already, the rest is not: next time
            op = fields[1]
            wanted = layout.FDS_OF.get(op, 0)
            while len(self._fds) < wanted:
                self._receive()
            self._carry_out(op, fields)
            tail = (tail + 1) & WORD_MASK
            words[INBOX_TAIL] = tail
            done += 1
        if done:
            words[layout.FDS_HELD] = self.roster.fds_held + len(self._fds)
        return done

    def _receive(self) -> None:
        data, ancillary, flags, _ = self.sock.recvmsg(FD_BATCH.size, ANCILLARY_BYTES, socket.MSG_DONTWAIT)
        came = [fd for _, _, fds in ancillary for fd in memoryview(fds).cast("i")]
        if flags & socket.MSG_CTRUNC or data != FD_BATCH.pack(len(came)):
            # One lost would give every later candidate its neighbour's descriptor. End; the next killer gets them anew.
            raise OSError(EMFILE, f"{len(came)} descriptors came, {data.hex()} were sent")
        self._fds.extend(came)

    def _carry_out(self, op: int, fields: tuple[int, ...]) -> None:
        row, roster = fields[2], self.roster
        if op == layout.ADD:
            self.offers += 1
            roster.add(row, fields[3:9], self._fds.pop(0))  # type: ignore[arg-type]
        elif op == layout.MOVE:
            self.offers += 1
            roster.move(row, fields[5], fields[8])
        elif op == layout.DROP:
            roster.drop(row)
        elif op == layout.SIZED:
            roster.size(row, self._fds.pop(0), self._fds.pop(0))
        elif op == layout.UNSIZED:
            roster.unsize(row)
        elif op == layout.PINNED:
            roster.pin(row, self._fds.pop(0))
        elif op == layout.SWAP:
            roster.swap[row] = fields[9]
        elif op == layout.POLICY:
            found = self.shared.read_policy()
            if found is not None:  # else the one that is being written has a record of its own
                self.generation, self.policy = found
        elif op == layout.ADOPT:
            if self.adopted is not None:
                os.close(self.adopted.pidfd)
            self.adopted = Adopted(fields[3], fields[7], fields[9], self._fds.pop(0))
