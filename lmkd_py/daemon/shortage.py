"""Memory that is not to be had: what the steward lives with. It is over by itself, so what failed is tried again.

The kernel says so in the errno, Python in a MemoryError. Nothing here or in what handles it needs memory to speak of.
"""

from __future__ import annotations

from errno import ENFILE, ENOBUFS, ENOMEM

# ENOBUFS: a message to a socket found no buffer. ENFILE: a pipe or socket found no inode (fs/pipe.c, net/socket.c).
NO_MEMORY = (ENOMEM, ENOBUFS, ENFILE)
RETRY_MS = 50  # how soon what failed is tried again


def is_shortage(error: BaseException) -> bool:
    """True when the same call may succeed a moment later, once somebody has given memory back."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in NO_MEMORY)
