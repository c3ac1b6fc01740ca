"""The listening side of a device: its port, its clients, its going away and coming again."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Callable, Optional

from .connection import READ_CHUNK, Connection
from .device import AdbdDevice

HOST = "127.0.0.1"
MIN_PORT = 5600  # adb takes any listener on the odd ports below 5586 for an emulator of its own
MAX_CLIENTS = 16
TINY_BUFFER = 2048
_BIND_S = 10.0


class Endpoint:
    """`await start(port)`, `await stop()`; several live in one loop."""

    def __init__(self, device: AdbdDevice, host: str = HOST) -> None:
        """host: an address of this machine; another than loopback only inside a guest."""
        self.device = device
        self.host = host
        device.endpoint = self
        self.port = 0
        self.clients: set[Connection] = set()
        self._server: Optional[asyncio.AbstractServer] = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._boot: Optional[asyncio.TimerHandle] = None
        self._stopped = False
        self._listens = False

    @property
    def address(self) -> str:
        """HOST:PORT for `adb connect`."""
        return f"{self.host}:{self.port}"

    async def start(self, port: int = 0) -> str:
        """Listen; port 0 takes a free one from MIN_PORT up. Returns the address. Raises OSError, ValueError."""
        if port and not MIN_PORT <= port <= 65535:
            raise ValueError(f"port {port}, wanted {MIN_PORT} to 65535")
        listener = _listener(self.host, port, bool(self.device.faults.slow_bytes_per_s))
        self.port = listener.getsockname()[1]
        limit = 1024 if self.device.faults.slow_bytes_per_s else READ_CHUNK
        self._listens = True  # before the first client can come
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=limit)
        left = self.device.boot_left_s()
        if left:
            self._boot = asyncio.get_running_loop().call_later(left, self.device.boot_completed)
        return self.address

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._listens:  # it came in just before we hung up on everybody
            writer.transport.abort()
            return
        if len(self.clients) >= MAX_CLIENTS:
            # One that never authorised itself makes room; those at work stay.
            idle = next((client for client in self.clients if not client.online), None)
            if idle is None:
                writer.transport.abort()
                return
            idle.drop()
            self.clients.discard(idle)
        plug = writer.get_extra_info("socket")
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client = Connection(self.device, reader, writer)
        self.clients.add(client)
        try:
            await client.run()
        finally:
            self.clients.discard(client)

    def _hang_up(self) -> None:
        self._listens = False
        if self._boot is not None:
            self._boot.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in tuple(self.clients):
            client.drop()

    def come_again(self, away_s: float, between: Optional[Callable[[], None]] = None) -> None:
        """Drop everybody, be unreachable for away_s, then listen again on the same port."""
        task = asyncio.get_running_loop().create_task(self._come_again(away_s, between))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _come_again(self, away_s: float, between: Optional[Callable[[], None]]) -> None:
        # The client reads what the service said last before the line goes dead.
        for client in tuple(self.clients):
            if client.writer.transport.get_write_buffer_size():
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        self._hang_up()
        if between is not None:
            between()
        await asyncio.sleep(away_s)
        deadline = asyncio.get_running_loop().time() + _BIND_S
        while not self._stopped:
            try:
                await self.start(self.port)
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.05)

    def unplug(self) -> None:
        """Cut every connection now; the port stays open."""
        for client in tuple(self.clients):
            client.drop()

    async def stop(self) -> None:
        """End the device: clients, programs, namespace."""
        self._stopped = True
        for task in tuple(self._tasks):
            task.cancel()
        self._hang_up()
        for _ in range(200):
            if not self.clients:
                break
            await asyncio.sleep(0.05)
        self.device.power_off()


def _listener(host: str, port: int, tiny: bool) -> socket.socket:
    for number in (port,) if port else range(MIN_PORT + os.getpid() % 4000, 32768):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if tiny:  # accepted sockets inherit it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TINY_BUFFER)
        try:
            listener.bind((host, number))
            listener.listen(64)
            return listener
        except OSError as error:
            listener.close()
            if port or error.errno != errno.EADDRINUSE:
                raise OSError(error.errno, f"port {number}: {error.strerror}") from None
    raise OSError(errno.EADDRINUSE, f"no free port from {MIN_PORT} up")
