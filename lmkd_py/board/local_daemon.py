"""Ask the daemon of this machine over its control socket."""

from __future__ import annotations

import os
import socket

from ..wire.control import Reply, Request, Verb, decode_reply, encode_request
from .errors import SandboxError


def ask_daemon(root: str, verb: int = Verb.STATUS, timeout_s: float = 5.0) -> Reply:
    """One request to the daemon of a state root. SandboxError if there is none, or it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(timeout_s)
        try:
            # The root may be longer than a socket address can be.
            directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                client.connect(f"/proc/self/fd/{directory}/ctl")
            finally:
                os.close(directory)
            client.send(encode_request(Request(verb=verb)))
            data = client.recv(1 << 16)
        except OSError as error:
            raise SandboxError(
                f"no daemon answers on {root}/ctl: {error.strerror or error}; wanted a running one: "
                f"lmkd-py run --root {root}"
            ) from error
    if not data:
        raise SandboxError(f"the daemon on {root}/ctl hung up without a reply; ask again")
    return decode_reply(data)
