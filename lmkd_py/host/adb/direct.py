"""A link straight to a device's adbd over TCP. Connecting and AUTH are adb-shell's; the streams are ours.

adb-shell's own services cannot send while they read, do not see that an open was refused, and keep whatever a device
sends; here a stream holds at most one message, and a device that sends a second one unasked is hung up on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from adb_shell import exceptions  # type: ignore[import-untyped]
from adb_shell.adb_device import AdbDevice  # type: ignore[import-untyped]

from .link import LinkError, LinkTimeout, ProtocolError, ServiceRefused, Unauthorized
from .transport import HEADER, MAX_PAYLOAD, VERSION, Packet, Transport, byte_sum, header_bytes

# adb-shell puts it behind `host::`.
BANNER = "features=shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir"
SILENCE_S = 60.0  # of a peer in the middle of a message
MAX_HELD = 4 << 20  # bytes a stream keeps of what comes while it sends
_BROKEN = (OSError, exceptions.AdbTimeoutError, exceptions.InvalidChecksumError)


class DirectLink:
    """See link.Link. Connects when built; Unauthorized, LinkError, LinkTimeout, ProtocolError."""

    def __init__(
        self, host: str, port: int, signers: list[Any], deadline: float, auth_s: float, asked: Callable[[], None]
    ) -> None:
        self._transport = Transport(host, port)
        self._transport.deadline = deadline
        self._streams: dict[int, DirectStream] = {}
        self._next_id = 0
        self._connect(signers, auth_s, asked)

    def _connect(self, signers: list[Any], auth_s: float, asked: Callable[[], None]) -> None:
        device = AdbDevice(self._transport, banner=BANNER)
        try:
            device.connect(signers, SILENCE_S, auth_s, SILENCE_S, lambda _: asked())
        except exceptions.TcpTimeoutException as error:
            self.close()
            if any(packet.command == b"AUTH" for packet in self._transport.heard):
                raise Unauthorized from error
            raise LinkTimeout(str(error)) from error
        except exceptions.DeviceAuthError as error:
            self.close()
            raise Unauthorized from error
        except (exceptions.InvalidCommandError, exceptions.InvalidResponseError) as error:
            self.close()
            raise ProtocolError(str(error)) from error
        except _BROKEN as error:
            self.close()
            if any(packet.command == b"AUTH" for packet in self._transport.heard):
                raise Unauthorized from error
            raise LinkError(str(error) or type(error).__name__) from error
        except ProtocolError:
            self.close()
            raise
        self._transport.handshaking = False
        hello = self._transport.heard[-1]
        self._sums = hello.arg0 < VERSION
        self.max_packet = max(1024, min(MAX_PAYLOAD, hello.arg1))
        self.banner = hello.payload.rstrip(b"\0").decode("utf-8", "replace")
        self._transport.heard = []

    @property
    def features(self) -> frozenset[str]:
        """The features in the device's banner."""
        _, _, properties = self.banner.partition("::")
        for one in properties.split(";"):
            name, _, value = one.partition("=")
            if name == "features":
                return frozenset(value.split(","))
        return frozenset()

    def set_deadline(self, at: float) -> None:
        self._transport.deadline = at

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    def open(self, service: str) -> DirectStream:
        name = service.encode() + b"\0"
        if len(name) > self.max_packet:
            raise ServiceRefused(f"a service name of {len(name)} bytes, the device takes {self.max_packet}")
        self._next_id += 1
        stream = DirectStream(self, self._next_id)
        self._streams[stream.local] = stream
        self.send(b"OPEN", stream.local, 0, name)
        while not stream.remote and not stream.ended:
            self.pump()
        if not stream.remote:
            self.forget(stream)
            raise ServiceRefused(service.partition(":")[0])
        return stream

    def send(self, command: bytes, local: int, remote: int, payload: bytes | memoryview = b"") -> None:
        check = byte_sum(payload) if self._sums else 0
        try:
            self._transport.write_all((header_bytes(command, local, remote, payload, check), payload), SILENCE_S)
        except exceptions.TcpTimeoutException as error:
            raise LinkTimeout(str(error)) from error
        except OSError as error:
            raise LinkError(str(error)) from error

    def pump(self) -> None:
        """Take one message from the device and give it to its stream."""
        packet = self._receive()
        stream = self._streams.get(packet.arg1)
        if packet.command == b"WRTE" and stream is None:
            self.send(b"CLSE", packet.arg1, packet.arg0)  # to one we have closed
        elif stream is not None:
            stream.take(packet)

    def readable(self) -> bool:
        """Whether pump() would return soon."""
        return self._transport.readable()

    def forget(self, stream: DirectStream) -> None:
        """Drop what still arrives for this stream."""
        self._streams.pop(stream.local, None)

    def _receive(self) -> Packet:
        try:
            head = self._transport.read_exactly(HEADER.size, SILENCE_S)
            command, arg0, arg1, length, check, magic = HEADER.unpack(head)
            if magic != int.from_bytes(command, "little") ^ 0xFFFFFFFF:
                raise ProtocolError(f"{bytes(head[:8])!r}, wanted an ADB message")
            if length > self.max_packet:
                raise ProtocolError(f"a message of {length} bytes, wanted at most {self.max_packet}")
            payload = bytes(self._transport.read_exactly(length, SILENCE_S)) if length else b""
        except exceptions.TcpTimeoutException as error:
            raise LinkTimeout(str(error)) from error
        except OSError as error:
            raise LinkError(str(error)) from error
        if self._sums and byte_sum(payload) != check:
            raise LinkError(f"a message whose checksum is wrong: {check}, counted {byte_sum(payload)}")
        return Packet(command, arg0, arg1, payload)


class DirectStream:
    """A link.Stream over a DirectLink."""

    def __init__(self, link: DirectLink, local: int) -> None:
        self._link = link
        self.local = local
        self.remote = 0
        self.ended = False
        self._held: deque[bytes] = deque()  # came while we were sending
        self._held_bytes = 0
        self._fresh: bytes | None = None  # the device waits for our word that we have it
        self._taken = True  # the device has our last message

    def take(self, packet: Packet) -> None:
        """Handle one message for this stream."""
        if packet.command == b"OKAY":
            self.remote = self.remote or packet.arg0
            self._taken = True
        elif packet.command == b"CLSE":
            self.ended = True
        elif packet.command == b"WRTE":
            if self._fresh is not None:
                raise ProtocolError("a second message before the first was taken")
            self._fresh = packet.payload
        else:
            raise ProtocolError(f"{packet.command!r} on a stream")

    def send(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            while not self._taken and not self.ended:
                # Whoever waits for our word on what it said would not take ours, and both wait for ever: keep some
                # of it, what came before this send included.
                if self._fresh is not None and self._held_bytes < MAX_HELD:
                    self._held.append(self._take_fresh())
                    self._held_bytes += len(self._held[-1])
                else:
                    self._link.pump()
            if self.ended:
                raise LinkError("the service hung up")
            part, rest = rest[: self._link.max_packet], rest[self._link.max_packet :]
            self._taken = False
            self._link.send(b"WRTE", self.local, self.remote, part)

    def recv(self) -> bytes:
        while True:
            if self._held:
                data = self._held.popleft()
                self._held_bytes -= len(data)
            elif self._fresh is not None:
                data = self._take_fresh()
            elif self.ended:
                return b""
            else:
                self._link.pump()
                continue
            if data:
                return data

    def pending(self) -> bool:
        while not self._held and self._fresh is None and not self.ended and self._link.readable():
            self._link.pump()
        return bool(self._held) or self._fresh is not None or self.ended

    def close(self) -> None:
        self._link.forget(self)
        try:
            if self.remote:
                self._link.send(b"CLSE", self.local, self.remote)
        except LinkError:
            pass

    def _take_fresh(self) -> bytes:
        data, self._fresh = self._fresh or b"", None
        if not self.ended:
            self._link.send(b"OKAY", self.local, self.remote)
        return data
