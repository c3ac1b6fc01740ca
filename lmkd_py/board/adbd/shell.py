"""Commands: shell (merged), shell,v2 (split, with exit code) and exec (as shell, but binary on every device)."""

from __future__ import annotations

import asyncio
import os
import struct
from typing import TYPE_CHECKING

from .child import Child, ready, set_window
from .stream import DeviceStream, Refused, StreamClosed

if TYPE_CHECKING:
    from .device import AdbdDevice

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN, WINDOW = range(6)
_PACKET = struct.Struct("<BI")
CHUNK = 1 << 16
PACKET_LIMIT = 1 << 20


class _Session:
    # One command, its pipes (or terminal) and its client.

    def __init__(
        self, device: AdbdDevice, stream: DeviceStream, command: bytes, split: bool, terminal: str, crlf: bool
    ) -> None:
        self.stream = stream
        self.split = split
        self.crlf = crlf
        theirs: list[int] = []
        ours: list[int] = []
        try:
            if terminal:
                master, slave = os.openpty()
                ours += [master, os.dup(master)]
                theirs.append(slave)
                fds = (slave, slave, slave)
            else:
                for outward in (False, True, True)[: 3 if split else 2]:
                    end, other = os.pipe()
                    theirs.append(other if outward else end)
                    ours.append(end if outward else other)
                fds = (theirs[0], theirs[1], theirs[-1])
            for fd in ours:
                os.set_blocking(fd, False)
            words = ["-c", os.fsdecode(command)] if command else []
            self.child: Child = device.run(words, fds, terminal)
        except OSError:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self.stdin = ours[0]
        self.outputs = ours[1:]
        self.terminal = bool(terminal)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        inward = loop.create_task(self._inward())
        outward = [loop.create_task(self._outward(fd, STDOUT + place)) for place, fd in enumerate(self.outputs)]
        try:
            # It is over when nobody holds its outputs any more, or when the client has left.
            waiting = set(outward)
            while waiting and not inward.done():
                done, _ = await asyncio.wait((inward, *waiting), return_when=asyncio.FIRST_COMPLETED)
                for task in done & waiting:
                    task.result()
                waiting -= done
            if not waiting:
                code = await self.child.wait()
                if self.split:
                    await self.stream.write(_PACKET.pack(EXIT, 1) + bytes((code,)))
        finally:
            for task in (inward, *outward):
                task.cancel()
            # return_exceptions: what ended them is known, and asyncio complains of errors nobody looked at.
            await asyncio.gather(inward, *outward, return_exceptions=True)
            for fd in (self.stdin, *self.outputs):
                if fd >= 0:
                    os.close(fd)
            # As on a phone: a command whose client has left lives on, with its streams closed; a terminal hangs up.
            self.child.abandon()

    async def _outward(self, fd: int, kind: int) -> None:
        while True:
            await ready(fd)
            try:
                data = os.read(fd, CHUNK)
            except BlockingIOError:
                continue
            except OSError:  # EIO: the terminal has no user any more
                return
            if not data:
                return
            if self.crlf:
                data = data.replace(b"\n", b"\r\n")
            await self.stream.write(_PACKET.pack(kind, len(data)) + data if self.split else data)

    async def _inward(self) -> None:
        # Ends with StreamClosed when the client has left, which ends the session.
        unread = bytearray()
        while True:
            data = await self.stream.read()
            if not data:
                if self.stream.closed:
                    raise StreamClosed
                continue
            if not self.split:
                await self._feed(data)
                continue
            unread += data
            while len(unread) >= _PACKET.size:
                kind, length = _PACKET.unpack_from(unread)
                if length > PACKET_LIMIT:
                    raise StreamClosed
                if len(unread) < _PACKET.size + length:
                    break
                body = bytes(unread[_PACKET.size : _PACKET.size + length])
                del unread[: _PACKET.size + length]
                if kind == STDIN:
                    await self._feed(body)
                elif kind == CLOSE_STDIN:
                    self._close_stdin()
                elif kind == WINDOW and self.terminal:
                    set_window(self.stdin, body)

    async def _feed(self, data: bytes) -> None:
        # A command that does not read holds the client back; one that closed its stdin loses the bytes.
        while data and self.stdin >= 0:
            try:
                data = data[os.write(self.stdin, data) :]
            except BlockingIOError:
                await ready(self.stdin, to_write=True)
            except OSError:
                self._close_stdin()

    def _close_stdin(self) -> None:
        if self.stdin >= 0:
            if self.terminal:
                os.write(self.stdin, b"\4")
            else:
                os.close(self.stdin)
                self.stdin = -1


async def _serve(
    device: AdbdDevice, stream: DeviceStream, command: bytes, split: bool, terminal: str, crlf: bool
) -> None:
    session = _Session(device, stream, command, split, terminal, crlf)
    stream.accept()
    if device.faults.hostile == "endless-shell":
        while True:
            await stream.write(_PACKET.pack(STDOUT, CHUNK) + b"y" * CHUNK if split else b"y" * CHUNK)
    if device.faults.hostile == "bad-exit":
        await stream.write(_PACKET.pack(EXIT, 0xFFFFFFFF))
    await session.run()


async def shell_v1(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """shell:CMD, both streams in one and no exit code; a terminal without CMD."""
    crlf = device.personality.crlf and bool(argument)
    await _serve(device, stream, argument, False, "" if argument else "dumb", crlf)


async def shell_v2(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """The service shell,v2[,raw|pty][,TERM=x]:CMD."""
    if "shell_v2" not in device.personality.features:
        raise Refused("this device is too old for shell,v2")
    options, _, command = argument.partition(b":")
    words = options.split(b",")
    term = next((word[5:] for word in words if word.startswith(b"TERM=")), b"dumb")
    is_terminal = b"pty" in words or (not command and b"raw" not in words)
    await _serve(device, stream, command, True, os.fsdecode(term[:64]) if is_terminal else "", False)


async def execute(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """The service exec:CMD."""
    if not device.personality.exec_service:
        raise Refused("this device is too old for exec:")
    await _serve(device, stream, argument, False, "", False)
