"""A peer on a socket that does what a test says, message by message: for what no decent adbd does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from lmkd_py.host.adb.transport import HEADER, byte_sum, header_bytes

BANNER = b"device::ro.product.name=peer;features=shell_v2"


class Plug:
    """One connection, from the peer's side."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    def send(self, command: bytes, arg0: int = 0, arg1: int = 0, payload: bytes = b"") -> None:
        self.socket.sendall(header_bytes(command, arg0, arg1, payload, byte_sum(payload)) + payload)

    def read(self) -> tuple[bytes, int, int, bytes]:
        """The client's next message; ConnectionError at the end."""
        head = self._exactly(HEADER.size)
        command, arg0, arg1, length, _, _ = HEADER.unpack(head)
        return command, arg0, arg1, self._exactly(length)

    def greet(self) -> None:
        """Exchange CNXN without AUTH."""
        self.read()
        self.send(b"CNXN", 0x01000001, 1 << 20, BANNER + b"\0")

    def opened(self) -> int:
        """Accept the next stream as number 1; the client's number for it."""
        _, local, _, _ = self.read()
        self.send(b"OKAY", 1, local)
        return local

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data


class Peer:
    """Listens; each client is treated by `act`, and hung up on when that returns or fails."""

    def __init__(self, act: Callable[[Plug], None]) -> None:
        self._act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._plugs: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._plugs.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._act(Plug(connection))
            except (OSError, struct.error):
                pass

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for plug in self._plugs:
            plug.close()
