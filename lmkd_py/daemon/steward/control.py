"""The control socket `ctl` in the state root: SEQPACKET, mode 0600, one protobuf request and one reply a packet."""

from __future__ import annotations

import _socket as socket
import os
import select
from time import monotonic, sleep
from typing import Callable

from ...wire.control import Reply, Request, decode_request, encode_reply

REQUEST_BYTES = 4096
MAX_CLIENTS = 16


class ControlServer:
    """Listens, answers, and hangs up on whoever misbehaves. `answer` turns a request into a reply."""

    def __init__(self, path: str, answer: Callable[[Request], Reply]) -> None:
        self.path = path
        self.answer = answer
        self.clients: dict[int, socket.socket] = {}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        if os.path.exists(path):
            os.unlink(path)
        mask = os.umask(0o177)
        try:
            # A state root may lie deeper than the 108 bytes of a socket address: go through a directory descriptor.
            directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self.listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
            finally:
                os.close(directory)
        finally:
            os.umask(mask)
        self.listener.listen(MAX_CLIENTS)

    def accept(self, watch: select.epoll) -> None:
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
            watch.register(client.fileno(), select.EPOLLIN)
        except (OSError, MemoryError):
            self.hang_up(client.fileno())
            raise

    def serve(self, fd: int) -> bool:
        """Answer one packet; False when the client is gone (and no longer watched)."""
        client = self.clients.get(fd)
        if client is None:
            return False
        try:
            data = client.recv(REQUEST_BYTES)
            if not data:
                self.hang_up(fd)
                return False
            try:
                reply = self.answer(decode_request(data))
            except ValueError as error:  # MessageError
                reply = Reply(ok=0, text=f"bad request: {error}")
            except MemoryError:
                self.hang_up(fd)
                raise
            client.send(encode_reply(reply))
        except BlockingIOError:
            return True
        except OSError:
            self.hang_up(fd)
            return False
        return True

    def hang_up(self, fd: int) -> None:
        """Close one client."""
        client = self.clients.pop(fd, None)
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close everything and take the name away."""
        for fd in list(self.clients):
            self.hang_up(fd)
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


def ask(root: str, request: bytes, timeout_s: float = 5.0) -> bytes:
    """One request from a client's side; OSError when nobody answers."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        client.settimeout(timeout_s)
        directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _connect(client, f"/proc/self/fd/{directory}/ctl", monotonic() + timeout_s)
        finally:
            os.close(directory)
        client.send(request)
        return client.recv(65536)
    finally:
        client.close()


def _connect(client: socket.socket, path: str, deadline: float) -> None:
    # A socket with a timeout is told at once, not after it, that others wait to be accepted.
    while True:
        try:
            client.connect(path)
            return
        except BlockingIOError:
            if monotonic() > deadline:
                raise
        sleep(0.01)
