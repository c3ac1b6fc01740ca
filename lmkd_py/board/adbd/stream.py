"""One stream of a connection as a service sees it. Flow control is ADB's: one message of ours under way."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Optional, Protocol

from .packet import CLSE, OKAY, WRTE, AdbMessage, ProtocolBreach

MAX_AHEAD = 64  # messages of a stream that no service has read yet


class StreamClosed(Exception):
    """The client closed the stream or its connection ended; there is nobody to write to."""


class Refused(Exception):
    """The service is not to be had: the client sees its OPEN closed. The text is for the log."""


class Carrier(Protocol):
    """The connection that a stream is one of."""

    max_payload: int  # most bytes one message carries
    pending: int  # bytes of all its streams that no service has read yet

    def post(self, message: AdbMessage) -> None:
        """Queue a message without waiting."""

    async def send(self, message: AdbMessage) -> None:
        """Queue a message and wait until the client has taken most of what is queued."""

    def cut_on(self, request: bytes) -> None:
        """End the connection here if a fault waits for this request."""


class DeviceStream:
    """The device's end of a stream. `local` and `remote` are ADB's two ids, never 0."""

    def __init__(self, connection: Carrier, local: int, remote: int) -> None:
        self.connection = connection
        self.local, self.remote = local, remote
        self.accepted = False
        self.closed = False  # nothing goes out any more
        self._inbox: deque[bytes] = deque()
        self._came: Optional[asyncio.Future[None]] = None
        self._acked: Optional[asyncio.Future[None]] = None
        self._writing = asyncio.Lock()  # a command's two outputs share one window

    @property
    def max_chunk(self) -> int:
        """Most bytes one message carries to this client."""
        return self.connection.max_payload

    def accept(self) -> None:
        """Tell the client that the service is there. Before this, ending means a refusal."""
        if not self.accepted and not self.closed:
            self.accepted = True
            self.connection.post(AdbMessage(OKAY, self.local, self.remote))

    async def read(self) -> bytes:
        """The next bytes of the client; b"" once it has closed the stream."""
        while not self._inbox:
            if self.closed:
                return b""
            self._came = asyncio.get_running_loop().create_future()
            await self._came
        data = self._inbox.popleft()
        self.connection.pending -= len(data)
        if not self.closed:
            self.connection.post(AdbMessage(OKAY, self.local, self.remote))
        return data

    async def write(self, data: bytes) -> None:
        """Send all of it, each message acknowledged before the next, whoever else writes. Raises StreamClosed."""
        size = self.max_chunk
        async with self._writing:
            for start in range(0, len(data), size):
                if self.closed:
                    raise StreamClosed
                self._acked = asyncio.get_running_loop().create_future()
                await self.connection.send(AdbMessage(WRTE, self.local, self.remote, data[start : start + size]))
                if self._acked is not None:
                    await self._acked

    def close(self) -> None:
        """The service has ended: say so. After the last write() has returned the client has all of it."""
        if not self.closed:
            self.closed = True
            self.connection.post(AdbMessage(CLSE, self.local if self.accepted else 0, self.remote))
        self._wake(StreamClosed())

    # -- the connection's side ------------------------------------------------------------------------------------

    def took(self, data: bytes) -> None:
        """The client wrote. Raises ProtocolBreach if it is far ahead of our OKAYs.

        Debian's adb is ahead by a few messages when a command's input ends at once, so a little of that is taken.
        """
        if len(self._inbox) >= MAX_AHEAD:
            raise ProtocolBreach(f"stream {self.local} sent {MAX_AHEAD} messages without waiting")
        if not data:
            self.connection.post(AdbMessage(OKAY, self.local, self.remote))
            return
        self._inbox.append(data)
        self.connection.pending += len(data)
        self._settle(self._came)

    def acked(self) -> None:
        """The client has received the last message; the next may be sent."""
        waiting, self._acked = self._acked, None
        self._settle(waiting)

    def hang_up(self, say: bool) -> None:
        """The client closed the stream (`say`: answer it) or is gone."""
        if not self.closed:
            self.closed = True
            if say:
                self.connection.post(AdbMessage(CLSE, self.local, self.remote))
        self._wake(StreamClosed())

    def discard(self) -> None:
        """Drop what arrived but was not read."""
        self.connection.pending -= sum(map(len, self._inbox))
        self._inbox.clear()

    def _wake(self, error: Exception) -> None:
        self._settle(self._came)
        waiting, self._acked = self._acked, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
            waiting.exception()  # seen, also if nobody awaits it

    @staticmethod
    def _settle(future: Optional[asyncio.Future[None]]) -> None:
        if future is not None and not future.done():
            future.set_result(None)
