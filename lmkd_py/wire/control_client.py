"""The client's side of the control socket `ctl` in a daemon's state root: one request, one reply."""

from __future__ import annotations

import _socket as socket
import os
from time import monotonic, sleep

from .control import Reply, Request, decode_reply, encode_request

REPLY_BYTES = 1 << 16


def connect(root: str, timeout_s: float = 5.0) -> socket.socket:
    """A client of this root's daemon, accepted or queued. OSError when nobody listens."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        client.settimeout(timeout_s)
        # The root may be longer than a socket address can be.
        directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _wait_in_line(client, f"/proc/self/fd/{directory}/ctl", monotonic() + timeout_s)
        finally:
            os.close(directory)
    except BaseException:
        client.close()
        raise
    return client


def ask(root: str, verb: int, timeout_s: float = 5.0) -> Reply:
    """The daemon's reply to this verb. OSError: nobody answers; MessageError (a ValueError): it is no reply."""
    client = connect(root, timeout_s)
    try:
        client.send(encode_request(Request(verb)))
        data = client.recv(REPLY_BYTES)
    finally:
        client.close()
    if not data:
        raise ConnectionResetError("it hung up without a reply")
    return decode_reply(data)


def _wait_in_line(client: socket.socket, path: str, deadline: float) -> None:
    # A socket with a timeout is told at once, not after it, that others wait to be accepted.
    while True:
        try:
            client.connect(path)
            return
        except BlockingIOError:
            if monotonic() > deadline:
                raise
        sleep(0.01)
