"""TCP ports for boards and adb servers that others are told before anybody listens on them."""

from __future__ import annotations

import errno
import random
import socket

from .adbd.endpoint import MIN_PORT

EPHEMERAL = 32768  # from here on the kernel hands ports to outgoing connections (net.ipv4.ip_local_port_range)


def free_port() -> int:
    """One of 127.0.0.1 that nobody listens on now, chosen at random; OSError if a thousand are all taken.

    No outgoing connection gets it meanwhile, and adb does not look at it by itself.
    """
    for _ in range(1000):
        port = random.randrange(MIN_PORT, EPHEMERAL)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise OSError(errno.EADDRINUSE, f"no free port from {MIN_PORT} to {EPHEMERAL}")
