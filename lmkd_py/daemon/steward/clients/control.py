"""The control socket `ctl` in the state root: SEQPACKET, mode 0600, one protobuf request and one reply a packet."""

from __future__ import annotations

import _socket as socket
import os
from typing import TYPE_CHECKING, Callable

from ....wire.control import Reply, Request, decode_request, encode_reply
from ...state_root import DISK_REFUSES

if TYPE_CHECKING:
    from ..event_loop import EventLoop

REQUEST_BYTES = 4096
MAX_CLIENTS = 16


class ControlServer:
    """Listens, answers, and hangs up on whoever misbehaves. `answer` turns a request into a reply."""

    def __init__(self, path: str, answer: Callable[[Request], Reply]) -> None:
        self.path = path
        self.answer = answer
        self.clients: dict[int, socket.socket] = {}
        self.loop: EventLoop | None = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self.refusal = ""  # why nobody can reach it: the disk had no place for its name
        try:
            self._bind()
        except OSError as error:
            if error.errno not in DISK_REFUSES:
                raise
            self.refusal = error.strerror or str(error)

    def _bind(self) -> None:
        if os.path.lexists(self.path):
            os.unlink(self.path)
        mask = os.umask(0o177)
        try:
            # A state root may lie deeper than the 108 bytes of a socket address: go through a directory descriptor.
            directory = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self.listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(self.path)}")
            finally:
                os.close(directory)
        finally:
            os.umask(mask)
        self.listener.listen(MAX_CLIENTS)

    def be_watched(self, loop: EventLoop) -> None:
        """From here on this loop serves clients. A listener without a name would be up all the time."""
        self.loop = loop
        if not self.refusal:
            loop.watch(self.listener.fileno(), self.accept)
        for fd in self.clients:
            loop.watch(fd, self.serve)

    def bind_again(self) -> None:
        """The disk takes names again: if it did not, from now on there are clients."""
        if self.refusal:
            try:
                self._bind()
            except OSError:
                return
            if self.loop is not None:
                self.loop.watch(self.listener.fileno(), self.accept)
            self.refusal = ""

    def accept(self, _: int) -> None:
        """Have a new client watched, if one still waits; the oldest is hung up on when there are too many. OSError."""
        try:
            client = socket.socket(fileno=self.listener._accept()[0])  # type: ignore[attr-defined]
        except (BlockingIOError, ConnectionAbortedError):
            return
        client.setblocking(False)
        if len(self.clients) >= MAX_CLIENTS:
            self.hang_up(next(iter(self.clients)))
        self.clients[client.fileno()] = client
        try:
            if self.loop is not None:
                self.loop.watch(client.fileno(), self.serve)
        except (OSError, MemoryError):
            self.hang_up(client.fileno())
            raise

    def serve(self, fd: int) -> None:
        """Answer one packet, or hang up."""
        client = self.clients[fd]
        try:
            data = client.recv(REQUEST_BYTES)
            if not data:
                self.hang_up(fd)
                return
            try:
                reply = self.answer(decode_request(data))
            except ValueError as error:  # MessageError
                reply = Reply(ok=0, text=f"bad request: {error}")
            except MemoryError:
                self.hang_up(fd)
                raise
            client.send(encode_reply(reply))
        except BlockingIOError:
            pass
        except OSError:
            self.hang_up(fd)

    def hang_up(self, fd: int) -> None:
        """Close the connection to one client."""
        client = self.clients.pop(fd, None)
        if client is not None:
            if self.loop is not None:
                self.loop.unwatch(fd)
            client.close()

    def close(self) -> None:
        """Close everything and take the name away."""
        for fd in list(self.clients):
            self.hang_up(fd)
        self.listener.close()
        try:
            os.unlink(self.path)
        except OSError:  # not there, or a disk that takes nothing
            pass
