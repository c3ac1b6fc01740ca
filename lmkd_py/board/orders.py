"""What a board in the background can be told to do: a socket beside its record, one request and one reply a client.

Requests are words: `press thrash|hog SECONDS` to a sandbox, `snapshot PATH-IN-HEX` to an emulated board. The reply
begins with `ok` or `no`, then lines.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from .errors import SandboxError

_LIMIT = 1 << 16


def _reach(path: str, use: Callable[[str], None]) -> None:
    # The directory may be longer than a socket address can be.
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    finally:
        os.close(directory)


def listen(path: str) -> socket.socket:
    """The board's end. What an earlier board of this name left there is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    _reach(path, listener.bind)
    listener.listen(8)
    return listener


def serve_one(listener: socket.socket, obey: Callable[[list[str]], list[str]]) -> None:
    """Take one client's request, carry it out and reply. A client that hangs up early changes nothing of it."""
    client, _ = listener.accept()
    with client:
        client.settimeout(5)
        try:
            words = client.recv(_LIMIT).decode("utf-8", "replace").split()
            try:
                reply = "\n".join(["ok", *obey(words)])
            except SandboxError as refused:
                reply = f"no\n{refused}"
            client.send(reply.encode())
        except OSError:
            pass


def order(path: str, words: list[str], patience_s: float) -> list[str]:
    """The caller's end: the lines of the reply. SandboxError when it refuses, or does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(patience_s)
        try:
            _reach(path, client.connect)
            client.send(" ".join(words).encode())
            said = client.recv(_LIMIT).decode("utf-8", "replace")
        except OSError as error:
            raise SandboxError(f"{path}: the board does not answer: {error.strerror or error}") from error
    verdict, _, rest = said.partition("\n")
    if verdict != "ok":
        raise SandboxError(rest or "the board hung up without a reply")
    return rest.splitlines()
