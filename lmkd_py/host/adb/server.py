"""A link through a running adb server (its smart-socket protocol): USB devices, and devices the server has taken.

A server is never started from here: it would take USB devices away from whoever holds them.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import NamedTuple

from .link import LinkError, LinkTimeout, ProtocolError, ServiceRefused, Unauthorized

DEFAULT_PORT = 5037
READ_BYTES = 1 << 18


class ServerAddress(NamedTuple):
    """Host and port of the adb server."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT


class Listed(NamedTuple):
    """A device as the server knows it: device, offline, unauthorized, bootloader ..."""

    serial: str
    state: str


def server_address(host: str | None = None, port: int | None = None) -> ServerAddress:
    """-H and -P, else the environment as adb reads it. ValueError for a port that is none."""
    name = host or os.environ.get("ANDROID_ADB_SERVER_ADDRESS") or "127.0.0.1"
    text = str(port) if port is not None else os.environ.get("ANDROID_ADB_SERVER_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(f"ANDROID_ADB_SERVER_PORT: found {text!r}, wanted a port from 1 to 65535")
    return ServerAddress(name, int(text))


def list_devices(server: ServerAddress, timeout_s: float = 2.0) -> list[Listed] | None:
    """What the server knows; None when no server runs."""
    try:
        connection = _Socket(server, time.monotonic() + timeout_s)
    except LinkError:
        return None
    try:
        connection.ask("host:devices")
        text = connection.block().decode("utf-8", "replace")
    except ServiceRefused as error:
        raise LinkError(str(error)) from error
    finally:
        connection.close()
    found = (line.rpartition("\t") for line in text.splitlines())
    return [Listed(serial, state) for serial, _, state in found if serial]


class ServerLink:
    """See link.Link: every stream is a connection of its own."""

    max_packet = 1 << 16

    def __init__(self, server: ServerAddress, serial: str, deadline: float) -> None:
        self._server = server
        self._serial = serial
        self._deadline = deadline
        self._open: set[_Socket] = set()
        self._aborted = False
        self.features = self._features()

    def _features(self) -> frozenset[str]:
        connection = _Socket(self._server, self._deadline)
        try:
            connection.ask(f"host-serial:{self._serial}:features")
            return frozenset(connection.block().decode("utf-8", "replace").split(","))
        except ServiceRefused as error:
            raise _why(error) from error
        finally:
            connection.close()

    def open(self, service: str) -> _Socket:
        if self._aborted:
            raise LinkError("interrupted")
        connection = _Socket(self._server, self._deadline)
        try:
            try:
                connection.ask(f"host:transport:{self._serial}")
            except ServiceRefused as error:
                raise _why(error) from error
            connection.ask(service)
        except BaseException:
            connection.close()
            raise
        self._open = {one for one in self._open if not one.closed} | {connection}
        if self._aborted:  # meanwhile: abort() did not know of this one
            connection.close()
            raise LinkError("interrupted")
        return connection

    def set_deadline(self, at: float) -> None:
        self._deadline = at
        for connection in self._open:
            connection.deadline = at

    def abort(self) -> None:
        self._aborted = True
        for connection in list(self._open):
            connection.abort()

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self._open.clear()


def _why(refusal: ServiceRefused) -> Exception:
    """The server's words about a device, as the error that they mean."""
    text = str(refusal).partition("\n")[0]
    return Unauthorized(text) if "unauthorized" in text else LinkError(text)


class _Socket:
    """A connection to the server; after the requests it is the stream (see link.Stream)."""

    def __init__(self, server: ServerAddress, deadline: float) -> None:
        self.deadline = deadline
        try:
            self._socket = socket.create_connection(server, timeout=max(0.01, min(5.0, deadline - time.monotonic())))
        except OSError as error:
            raise LinkError(f"no adb server on {server.host}:{server.port}: {error.strerror or error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self.closed = False

    def ask(self, request: str) -> None:
        """One request; ServiceRefused with the server's words when it says no."""
        data = request.encode("utf-8", "replace")
        if len(data) > 0xFFFF:
            raise ServiceRefused(f"a request of {len(data)} bytes, the server takes {0xFFFF}")
        self.send(b"%04x" % len(data) + data)
        status = self._exactly(4)
        if status == b"OKAY":
            return
        if status != b"FAIL":
            raise ProtocolError(f"{status!r} from the adb server, wanted OKAY or FAIL")
        raise ServiceRefused(self.block().decode("utf-8", "replace"))

    def block(self) -> bytes:
        """Four hexadecimal digits and so many bytes."""
        digits = self._exactly(4)
        try:
            return self._exactly(int(digits, 16))
        except ValueError:
            raise ProtocolError(f"the length {digits!r} from the adb server") from None

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._some(count - len(data))
            if not more:
                raise LinkError("the adb server hung up")
            data += more
        return data

    def _some(self, count: int) -> bytes:
        while True:
            self._await(select.POLLIN)
            try:
                return self._socket.recv(count)
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkError(str(error)) from error

    def send(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            self._await(select.POLLOUT)
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkError(str(error)) from error

    def recv(self) -> bytes:
        return self._some(READ_BYTES)

    def pending(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def abort(self) -> None:
        """Shut the socket down, so that a thread blocked in it returns."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self.closed = True
        self._socket.close()

    def _await(self, event: int) -> None:
        left = self.deadline - time.monotonic()
        if self.closed:
            raise LinkError("the stream is closed")
        poll = select.poll()
        poll.register(self._socket, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise LinkTimeout("the adb server gave no answer in time")
