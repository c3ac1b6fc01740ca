"""adb-shell's TCP transport with its faults mended: see tests/host/adb/test_adb_shell_contract.py for each of them.

Whole writes, TCP_NODELAY, an end of file that is an error and no busy loop, poll instead of select (file descriptors
above 1024), lengths checked before memory is taken for them, one deadline over everything.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import NamedTuple

from adb_shell.exceptions import TcpTimeoutException  # type: ignore[import-untyped]
from adb_shell.transport.tcp_transport import TcpTransport  # type: ignore[import-untyped]

from .link import ProtocolError

HEADER = struct.Struct("<4s5I")  # command, arg0, arg1, length, checksum, magic
VERSION = 0x01000001  # from here on nobody sums up bytes
MAX_PAYLOAD = 1 << 20  # what we offer in CNXN; no honest peer sends more
MAX_HANDSHAKE = 64 << 10
MAX_HANDSHAKE_MESSAGES = 64  # a device that asks for one key after another, for ever


class Packet(NamedTuple):
    """One ADB message: command, two arguments, payload."""

    command: bytes
    arg0: int
    arg1: int
    payload: bytes


def byte_sum(data: bytes | memoryview) -> int:
    """ADB's checksum: the sum of all bytes, modulo 2^32."""
    return sum(data) & 0xFFFFFFFF


def header_bytes(command: bytes, arg0: int, arg1: int, payload: bytes | memoryview, check: int) -> bytes:
    """The 24 bytes that precede a payload."""
    magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
    return HEADER.pack(command, arg0, arg1, len(payload), check, magic)


class Transport(TcpTransport):  # type: ignore[misc]
    """Bytes to and from one TCP endpoint. While `handshaking` it keeps what was heard and claims our version."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.deadline = float("inf")  # time.monotonic() after which nothing is waited for
        self.handshaking = True
        self.heard: list[Packet] = []
        self._ahead = b""

    def connect(self, transport_timeout_s: float | None) -> None:
        """OSError or TcpTimeoutException when nobody takes the connection."""
        wait = self._wait(transport_timeout_s)
        self._connection = socket.create_connection((self._host, self._port), timeout=wait)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setblocking(False)
        self.handshaking, self.heard, self._ahead = True, [], b""

    def abort(self) -> None:
        """Break the connection under whoever waits for it; may be called from another thread."""
        connection = self._connection
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        """Some bytes, at least one. ConnectionError at the end, ProtocolError for a length that nobody means."""
        if numbytes > MAX_PAYLOAD:
            raise ProtocolError(f"a message of {numbytes} bytes, wanted at most {MAX_PAYLOAD}")
        if not self.handshaking:
            return self._some(numbytes, transport_timeout_s)
        if not self._ahead:
            self._ahead = self._message(transport_timeout_s)
        data, self._ahead = self._ahead[:numbytes], self._ahead[numbytes:]
        return data

    def read_exactly(self, count: int, transport_timeout_s: float | None) -> bytearray:
        """So many bytes, or the errors of bulk_read()."""
        self._wait(transport_timeout_s)  # a device that never stops talking must not outlast the deadline
        if self._connection is None:
            raise ConnectionResetError("the connection is closed")
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            try:
                got = self._connection.recv_into(rest)
            except BlockingIOError:
                self._await(select.POLLIN, transport_timeout_s, "sending anything")
                continue
            if not got:
                raise ConnectionResetError("the device closed the connection")
            rest = rest[got:]
        return data

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        """All of it. TcpTimeoutException when the peer takes nothing for so long."""
        if self.handshaking and data[:4] == b"CNXN":
            # adb-shell says 0x01000000, with which both sides have to add up every byte.
            data = data[:4] + struct.pack("<I", VERSION) + data[8:]
        self.write_all((data,), transport_timeout_s)
        return len(data)

    def write_all(self, parts: tuple[bytes | memoryview, ...], transport_timeout_s: float | None) -> None:
        """Send all parts, in order."""
        views = [memoryview(part) for part in parts if len(part)]
        while views:
            self._await(select.POLLOUT, transport_timeout_s, "taking data")
            try:
                sent = self._connection.sendmsg(views)
            except BlockingIOError:
                continue
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if sent:
                views[0] = views[0][sent:]

    def _message(self, timeout_s: float | None) -> bytes:
        head = bytes(self.read_exactly(HEADER.size, timeout_s))
        command, arg0, arg1, length, _, magic = HEADER.unpack(head)
        if magic != int.from_bytes(command, "little") ^ 0xFFFFFFFF:
            raise ProtocolError(f"the greeting {head[:8]!r}, wanted an ADB message")
        if length > MAX_HANDSHAKE:
            raise ProtocolError(f"a greeting of {length} bytes, wanted at most {MAX_HANDSHAKE}")
        if len(self.heard) >= MAX_HANDSHAKE_MESSAGES:
            raise ProtocolError(f"more than {MAX_HANDSHAKE_MESSAGES} messages before the connection stood")
        payload = bytes(self.read_exactly(length, timeout_s))
        self.heard.append(Packet(command, arg0, arg1, payload))
        # A peer of our version sends no checksum; adb-shell wants one.
        return header_bytes(command, arg0, arg1, payload, byte_sum(payload)) + payload

    def _some(self, count: int, timeout_s: float | None) -> bytes:
        while True:
            self._await(select.POLLIN, timeout_s, "sending anything")
            try:
                data: bytes = self._connection.recv(count)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionResetError("the device closed the connection")
            return data

    def readable(self) -> bool:
        """Whether bulk_read() would return at once."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(0))

    def _await(self, event: int, timeout_s: float | None, what: str) -> None:
        if self._connection is None:
            raise ConnectionResetError("the connection is closed")
        wait = self._wait(timeout_s)
        poll = select.poll()
        poll.register(self._connection, event)
        if not poll.poll(wait * 1000):
            raise TcpTimeoutException(f"{self._host}:{self._port} was {wait:.1f} s without {what}")

    def _wait(self, timeout_s: float | None) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TcpTimeoutException(f"{self._host}:{self._port}: the time for this step is over")
        return min(left, 3600.0 if timeout_s is None else timeout_s)
