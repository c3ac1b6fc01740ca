"""The steward's end of the inbox: batches records, passes their descriptors first, wakes the killer only when needed.

Never blocks: what does not fit stays in the backlog, and the caller tries again when the killer has drained.
"""

from __future__ import annotations

import _socket as socket
import os
import struct

from ....core.config import PolicyConfig
from ... import shared as layout
from ...shared import FD_BATCH, INBOX_HEAD, INBOX_TAIL, WORD_MASK, Shared

BATCH = 64  # records a message; two descriptors each stay below SCM_MAX_FD (253)
KICK_AT = 16  # records without a descriptor that may wait for the killer's next wakeup: it may be one for a kill
ONE = struct.pack("=Q", 1)

NOTHING = (0, 0, 0, 0, 0, 0, 0)


class Outbox:
    """Records waiting for one killer. Descriptors given to `put` belong to the outbox, which closes them once sent."""

    def __init__(self, shared: Shared, sock: socket.socket, kick_fd: int) -> None:
        self.shared = shared
        self.sock = sock
        self.kick_fd = kick_fd
        self.backlog: list[tuple[int, int, tuple[int, ...], tuple[int, ...]]] = []
        self._passed = 0  # how many of the backlog have their descriptors in the socket already

    def put(self, op: int, row: int, values: tuple[int, ...] = NOTHING, fds: tuple[int, ...] = ()) -> None:
        """Queue one record; `flush` sends it. fds are duplicates the outbox may close."""
        self.backlog.append((op, row, values, fds))

    def put_policy(self, policy: PolicyConfig, generation: int) -> None:
        """Have the killer take this policy, of this config generation; `flush` sends it."""
        self.shared.write_policy(policy, generation)
        self.put(layout.POLICY, 0)

    def flush(self) -> bool:
        """Send what fits; True when nothing is left. Raises OSError when the killer's end is gone."""
        wake = False
        while self.backlog:
            if not self._passed and not self._pass_batch():
                break
            sent = 0
            try:
                for op, row, values, fds in self.backlog[: self._passed]:
                    if not self.shared.put_inbox(op, row, values):  # type: ignore[arg-type]
                        break
                    sent += 1
                    wake = wake or bool(fds) or op == layout.POLICY
            finally:  # whatever went wrong, none may be sent twice: its descriptors came once
                del self.backlog[:sent]
                self._passed -= sent
            if self._passed:
                break
        if wake or self._queued() >= KICK_AT:
            self.kick()
        return not self.backlog

    def _pass_batch(self) -> bool:
        count = min(len(self.backlog), BATCH)
        fds = [fd for _, _, _, own in self.backlog[:count] for fd in own]
        if fds:
            try:
                self.sock.sendmsg(
                    [FD_BATCH.pack(len(fds))],
                    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))],
                    socket.MSG_DONTWAIT,
                )
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno != 109:  # ETOOMANYREFS: too many descriptors in flight; the killer has to catch up
                    raise
                return False
            self._passed = count  # before anything else: sent once more, they would go to the wrong candidates
            for fd in fds:
                os.close(fd)
        self._passed = count
        return True

    def _queued(self) -> int:
        return (self.shared.words[INBOX_HEAD] - self.shared.words[INBOX_TAIL]) & WORD_MASK

    def consumed(self) -> bool:
        """True when the killer has carried out everything put so far."""
        return not self.backlog and self._queued() == 0

    def kick(self) -> None:
        """Wake the killer, so that it reads its inbox."""
        os.write(self.kick_fd, ONE)

    def discard(self) -> None:
        """The killer is gone: close what was still meant for it."""
        for _, _, _, fds in self.backlog[self._passed :]:
            for fd in fds:
                os.close(fd)
        self.backlog.clear()
        self._passed = 0
