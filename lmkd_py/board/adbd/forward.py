"""Streams to sockets of the device: tcp on loopback, abstract and file-system Unix sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from .stream import DeviceStream, Refused

if TYPE_CHECKING:
    from .device import AdbdDevice

CHUNK = 1 << 16
CONNECT_S = 10.0


async def tcp(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """The service tcp:PORT, to this machine only."""
    port, _, host = argument.partition(b":")
    if host not in (b"", b"localhost", b"127.0.0.1") or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise Refused("wanted tcp:PORT on loopback")
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    await _connected(stream, client, ("127.0.0.1", int(port)))


async def local_abstract(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """The service localabstract:NAME."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await _connected(stream, client, b"\0" + argument)


async def local_filesystem(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """localfilesystem:PATH, a socket in the device's tree."""
    # Through an fd of it: the path is longer outside than a socket address may be, and is walked once only.
    place = device.files.open(argument, os.O_PATH)
    try:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        await _connected(stream, client, f"/proc/self/fd/{place}")
    finally:
        os.close(place)


async def _connected(stream: DeviceStream, client: socket.socket, address: object) -> None:
    loop = asyncio.get_running_loop()
    with client:
        client.setblocking(False)
        await asyncio.wait_for(loop.sock_connect(client, address), CONNECT_S)  # type: ignore[arg-type]
        stream.accept()
        inward = loop.create_task(_inward(stream, client))
        try:
            while True:
                data = await loop.sock_recv(client, CHUNK)
                if not data:
                    return
                await stream.write(data)
        finally:
            inward.cancel()
            await asyncio.gather(inward, return_exceptions=True)


async def _inward(stream: DeviceStream, client: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        data = await stream.read()
        if not data:
            client.shutdown(socket.SHUT_RDWR)  # wakes the other direction
            return
        await loop.sock_sendall(client, data)
