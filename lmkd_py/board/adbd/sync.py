"""sync: files to and from the device, in both versions of stat and list."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Optional

from .stream import DeviceStream
from .sync_receive import Receiver
from .sync_replies import Replies

if TYPE_CHECKING:
    from .device import AdbdDevice

_REQUEST = struct.Struct("<4sI")
PATH_LIMIT = 1024
CHUNK = 1 << 16  # the most a DATA frame may hold
FLUSH = 1 << 18  # replies are gathered up to this


class SyncError(Exception):
    """The client broke the protocol of sync; the reason is sent as FAIL and the stream ends."""


class Session:
    """One sync: stream: a stream of requests, whatever messages they came in."""

    def __init__(self, device: AdbdDevice, stream: DeviceStream) -> None:
        self.device, self.stream = device, stream
        self.replies = Replies(device.faults.hostile)
        self._unread = bytearray()

    async def need(self, size: int) -> Optional[bytes]:
        """The next `size` bytes; None when the client has left."""
        while len(self._unread) < size:
            # Nothing more to do until the client writes: let it have the replies.
            await self.flush()
            data = await self.stream.read()
            if not data:
                return None
            self._unread += data
        taken = bytes(memoryview(self._unread)[:size])
        del self._unread[:size]
        return taken

    async def flush(self) -> None:
        """Send the replies that were collected."""
        data = self.replies.take()
        if data:
            await self.stream.write(data)

    async def frame(self, limit: int) -> Optional[tuple[bytes, int, bytes]]:
        """One frame: id, its number, and what follows; None at the end. Raises SyncError."""
        head = await self.need(_REQUEST.size)
        if head is None:
            return None
        name, length = _REQUEST.unpack(head)
        if name == b"DONE":  # its number is a time, not a length
            return name, length, b""
        if length > limit:
            raise SyncError(f"{name!r} of {length} bytes, at most {limit} are taken")
        body = await self.need(length)
        return None if body is None else (name, length, body)


async def sync(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """Serve requests until QUIT or the end of the stream."""
    stream.accept()
    session = Session(device, stream)
    try:
        while True:
            request = await session.frame(PATH_LIMIT)
            if request is None or request[0] == b"QUIT":
                break
            stream.connection.cut_on(b"%s %s" % (request[0], request[2]))
            await _answer(session, request[0], request[2])
    except SyncError as error:
        session.replies.fail(str(error))
    await session.flush()


async def _answer(session: Session, name: bytes, path: bytes) -> None:
    device, replies = session.device, session.replies
    v2 = "stat_v2" in device.personality.features
    if name == b"STAT" or (v2 and name in (b"STA2", b"LST2")):
        with device.identity():
            replies.stat(name, device.files, path)
    elif name == b"LIST" or (v2 and name == b"LIS2"):
        await _list(session, name, path)
    elif name == b"RECV":
        await _send_file(session, path)
    elif name == b"SEND":
        await _receive_file(session, path)
    else:
        raise SyncError(f"unknown request {name!r}")


async def _list(session: Session, name: bytes, path: bytes) -> None:
    replies = session.replies
    try:
        with session.device.identity():
            entries = list(session.device.files.entries(path))
    except OSError:
        entries = []  # sync has no word for it: an empty list
    for entry in replies.disguised(entries):
        replies.entry(name, *entry)
        if len(replies) > FLUSH:
            await session.flush()
    replies.list_end(name)


async def _send_file(session: Session, path: bytes) -> None:
    replies = session.replies
    try:
        with session.device.identity():
            fd = session.device.files.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        replies.fail(f"open failed: {error.strerror}")
        return
    try:
        while True:
            data = os.read(fd, CHUNK)
            if not data and not replies.is_endless:
                break
            replies.data(data)
            if len(replies) > FLUSH:
                await session.flush()
    except OSError as error:
        replies.fail(f"read failed: {error.strerror}")
        return
    finally:
        os.close(fd)
    replies.done()


async def _receive_file(session: Session, target: bytes) -> None:
    path, _, mode = target.rpartition(b",")
    receiver = Receiver(session.device, path)
    try:
        receiver.begin(int(mode[:10]) if mode.isdigit() else -1)
        while True:
            frame = await session.frame(CHUNK)
            if frame is None:
                return
            name, number, body = frame
            if name == b"DATA":
                receiver.write(body)
            elif name == b"DONE":
                receiver.finish(number)
                break
            else:
                raise SyncError(f"{name!r} in the middle of a file")
        # An early failure is only told now: the client is still sending until DONE.
        if receiver.reason:
            session.replies.fail(receiver.reason)
        else:
            session.replies.okay()
    finally:
        receiver.give_up()
