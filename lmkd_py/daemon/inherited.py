"""What a steward gives the killer it forks, and what both call things: descriptor numbers and exit codes."""

from __future__ import annotations

import os
from typing import IO, NamedTuple

from ..core.config import Config
from ..core.notes import Note
from ..kernel.bpf import AttachedProgram

# Descriptors a killer has, always under the same numbers: whoever takes over from an orphan finds its memory at 3.
# Behind them come those of the strike in the kernel, where there is one.
SHARED_FD, SOCKET_FD, KICK_FD, NOTIFY_FD = 3, 4, 5, 6
FIRST_FREE_FD = 7

EXIT_STOPPED = 0
EXIT_BROKEN = 1
EXIT_BAD_CONFIG = 2
EXIT_NO_PERMISSION = 3
EXIT_KERNEL_LACKS = 4
EXIT_DOMAIN_GONE = 5  # of a killer, and of `check`; the daemon waits until the domain is there
EXIT_ALREADY_RUNNING = 6
EXIT_NO_MEMORY = 7  # of a killer, its steward forks another; of the daemon: it could not even start


def say(text: str, stream: IO[str] | None) -> None:
    """Print a line to whoever still listens: a closed or broken pipe is no reason to stop guarding."""
    try:
        if stream is not None:
            print(text, file=stream, flush=True)
    except ValueError:
        pass
    except OSError:
        # What is left in the buffer would fail again at the end and change the exit code.
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


def reason_of(error: OSError) -> str:
    """What an OSError is about, in a line."""
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


class Inherited(NamedTuple):
    """Descriptors (memory, socket, kick, notify, then those of `attached`) and plain values."""

    fds: tuple[int, ...]
    config: Config
    generation: int
    rows: int
    never: tuple[int, ...]
    attached: AttachedProgram | None = None  # the strike in the kernel, as the steward holds it
    strikes_refused: str = ""  # why there is none
    layers: int = 0  # of the memory guarantee, as far as the steward provides them
    notes: tuple[Note, ...] = ()  # and what there is to say of them
