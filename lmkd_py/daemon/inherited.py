"""What a steward gives the killer it forks, and what both call things: descriptor numbers and exit codes."""

from __future__ import annotations

from typing import NamedTuple

from ..core.config import Config

# Descriptors a killer has, always under the same numbers: whoever takes over from an orphan finds its memory at 3.
SHARED_FD, SOCKET_FD, KICK_FD, NOTIFY_FD = 3, 4, 5, 6
FIRST_FREE_FD = 7

EXIT_STOPPED = 0
EXIT_BROKEN = 1
EXIT_BAD_CONFIG = 2
EXIT_NO_PERMISSION = 3
EXIT_KERNEL_LACKS = 4
EXIT_DOMAIN_GONE = 5
EXIT_ALREADY_RUNNING = 6


class Inherited(NamedTuple):
    """Descriptors (memory, socket, kick, notify) and plain values."""

    fds: tuple[int, int, int, int]
    config: Config
    generation: int
    rows: int
    never: tuple[int, ...]
    name: bytes
