"""One client: handshake, then messages to streams. Everything a client can make us hold or wait for is bounded here."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from . import hostile
from .auth import ALWAYS, NEVER, TOKEN_BYTES
from .packet import (
    AUTH,
    AUTH_PUBLIC_KEY,
    AUTH_SIGNATURE,
    AUTH_TOKEN,
    CLSE,
    CNXN,
    LEGACY_PAYLOAD,
    OKAY,
    OPEN,
    VERSION_CHECKSUM,
    WRTE,
    AdbMessage,
    Decoder,
    ProtocolBreach,
    encode,
)
from .services import serve
from .stream import DeviceStream

if TYPE_CHECKING:
    from .device import AdbdDevice

MAX_STREAMS = 64  # with those whose service still ends
MAX_PENDING = 8 << 20  # bytes of all streams that no service has read yet
MAX_UNSENT = 1 << 18  # bytes a client that does not read makes us hold before we wait for it
READ_CHUNK = 1 << 18
MESSAGE_S = 60.0  # for the rest of a message once it has begun, and for a client to read what it asked for
HANDSHAKE_S = 600.0  # a person may have to press a button first
MAX_TOKENS = 32


class Dropped(Exception):
    """The device cuts the connection on purpose."""


class Connection:
    """One client of `device`, over one socket."""

    def __init__(self, device: AdbdDevice, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.device = device
        self.reader, self.writer = reader, writer
        self.online = False
        self.max_payload = LEGACY_PAYLOAD
        self.pending = 0
        self.streams: dict[int, DeviceStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Not checked at first: adb, coming back to a device it knows, leaves data_check out of its CNXN.
        self._decoder = Decoder(LEGACY_PAYLOAD, check=False)
        self._check = True  # until both sides are known to be newer
        self._next_id = 1
        self._passed = 0
        self._drain_lock = asyncio.Lock()

    async def run(self) -> None:
        """Serve until either side ends it; never raises but on cancellation."""
        try:
            await asyncio.wait_for(self._handshake(), HANDSHAKE_S)
            while True:
                await self._handle(await self._receive())
        except ProtocolBreach as error:
            self.device.note(f"dropped a client: {error}")
        except (Dropped, OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass
        finally:
            await self._end()

    def drop(self) -> None:
        """Cut it off now, as if the cable was pulled."""
        self.writer.transport.abort()

    # -- bytes ------------------------------------------------------------------------------------------------------

    async def _receive(self) -> AdbMessage:
        while True:
            message = self._decoder.next()
            if message is not None:
                return message
            size = READ_CHUNK
            pace = self.device.faults.slow_bytes_per_s
            if pace:
                size = max(1, pace // 20)
                await asyncio.sleep(0.05)
            waiting = self.reader.read(size)
            data = await (waiting if self._decoder.is_between else asyncio.wait_for(waiting, MESSAGE_S))
            if not data:
                raise Dropped
            left = self._until_drop(len(data))
            self._decoder.feed(data[:left])
            if left < len(data):
                raise Dropped

    def _until_drop(self, size: int) -> int:
        # How many of `size` bytes still pass before the drop_after fault strikes.
        faults = self.device.faults
        left = size
        if faults.drop_after:
            left = max(0, min(size, faults.drop_after - self._passed))
            if left < size and not faults.strikes("drop_times"):
                left = size
        self._passed += left
        return left

    def post(self, message: AdbMessage) -> None:
        """Queue a message without waiting; for the small ones."""
        if self.writer.is_closing() or self.device.faults.mute:
            return
        data = hostile.mangle(self.device.faults.hostile, message, encode(message, self._check))
        left = self._until_drop(len(data))
        self.writer.write(data[:left])
        if left < len(data):
            self.writer.close()

    async def send(self, message: AdbMessage) -> None:
        """Queue a message and wait until the client has taken most of what is queued."""
        self.post(message)
        await self._drain()

    async def _drain(self) -> None:
        # Two tasks in drain() at once is an assertion error up to Python 3.10.
        async with self._drain_lock:
            try:
                await asyncio.wait_for(self.writer.drain(), MESSAGE_S)
            except asyncio.TimeoutError:
                self.drop()
                raise ConnectionResetError("the client does not read") from None

    # -- handshake -------------------------------------------------------------------------------------------------

    async def _handshake(self) -> None:
        device = self.device
        first = await self._receive()
        if first.command != CNXN:
            raise ProtocolBreach(f"it began with command {first.command:#x}, not CNXN")
        version = min(first.arg0, device.personality.version)
        if version < VERSION_CHECKSUM or first.arg1 < LEGACY_PAYLOAD:
            raise ProtocolBreach(f"version {first.arg0:#x} with {first.arg1} bytes a message")
        self.max_payload = min(first.arg1, device.personality.max_payload)
        if device.auth_mode != ALWAYS:
            await self._authenticate()
        self.online = True
        self._check = self._decoder.check = version == VERSION_CHECKSUM
        self._decoder.limit = device.personality.max_payload
        if device.faults.hostile == "garbage":
            self.writer.write(os.urandom(4096))
        banner = device.banner() + b"\0"
        self._check = True  # the client does not know our version before this message
        self.post(AdbMessage(CNXN, device.personality.version, device.personality.max_payload, banner))
        self._check = self._decoder.check

    async def _authenticate(self) -> None:
        device = self.device
        for _ in range(MAX_TOKENS):
            token = os.urandom(TOKEN_BYTES)
            self.post(AdbMessage(AUTH, AUTH_TOKEN, 0, token))
            answer = await self._receive()
            if answer.command != AUTH:
                raise ProtocolBreach(f"command {answer.command:#x} before it was authorised")
            if answer.arg0 == AUTH_SIGNATURE:
                if device.keys.signer(token, answer.payload) is not None:
                    return
            elif answer.arg0 == AUTH_PUBLIC_KEY:
                if device.auth_mode == NEVER:
                    device.note("an unknown key waits for somebody to accept it")
                    while True:  # the button on the screen that nobody presses
                        await self._receive()
                try:
                    device.keys.accept(answer.payload)
                except (ValueError, OSError) as error:
                    raise ProtocolBreach(f"its key was not accepted: {error}") from None
                return
            else:
                raise ProtocolBreach(f"AUTH of kind {answer.arg0}")
        raise ProtocolBreach(f"{MAX_TOKENS} signatures by keys that are not known")

    # -- messages --------------------------------------------------------------------------------------------------

    async def _handle(self, message: AdbMessage) -> None:
        command, arg0, arg1, payload = message
        if command == OPEN:
            self._open(arg0, payload)
        elif command in (OKAY, WRTE, CLSE):
            stream = self.streams.get(arg1)
            # A stream that we closed already may still get what the client sent before it knew.
            if stream is not None and stream.remote == arg0:
                if command == OKAY:
                    stream.acked()
                elif command == WRTE:
                    stream.took(payload)
                    if self.pending > MAX_PENDING:
                        raise ProtocolBreach(f"{self.pending} bytes that no service reads")
                else:
                    self.streams.pop(arg1)
                    stream.hang_up(say=True)
        else:
            raise ProtocolBreach(f"command {command:#x} while connected")
        if self.writer.transport.get_write_buffer_size() > MAX_UNSENT:
            await self._drain()

    def _open(self, remote: int, payload: bytes) -> None:
        service = payload.rstrip(b"\0")
        if not remote or len(payload) > LEGACY_PAYLOAD * 16:
            raise ProtocolBreach(f"OPEN of stream {remote} with {len(payload)} bytes")
        self.device.note(f"open {service[:200]!r}")
        self.cut_on(service)
        if len(self._tasks) >= MAX_STREAMS:
            self.post(AdbMessage(CLSE, 0, remote))
            return
        stream = DeviceStream(self, self._next_id, remote)
        self._next_id = self._next_id % 0xFFFFFFFE + 1
        self.streams[stream.local] = stream
        task = asyncio.get_running_loop().create_task(self._serve(stream, service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, stream: DeviceStream, service: bytes) -> None:
        try:
            await serve(self.device, stream, service)
        finally:
            self.streams.pop(stream.local, None)
            stream.discard()
            stream.close()

    def cut_on(self, request: bytes) -> None:
        """The drop_on fault: ends the connection here if `request` is the one it waits for."""
        faults = self.device.faults
        if faults.drop_on and faults.drop_on.encode() in request and faults.strikes("drop_times"):
            self.drop()
            raise Dropped

    async def _end(self) -> None:
        for stream in self.streams.values():
            stream.hang_up(say=False)
        self.writer.close()
        if self._tasks:  # services see the hang-up and tidy up; those that wait for something else are cancelled
            _, late = await asyncio.wait(self._tasks, timeout=5.0)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5.0)
        self.writer.transport.abort()
