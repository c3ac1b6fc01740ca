"""A board in the background, as `Registry.up` starts it; arguments: DIRECTORY KIND NAME PORT [endpoint options].

It says `up` on stdout once it answers and stays when it then reads a line; without one its starter has died, and it
ends. SIGTERM ends it; so does the death of its endpoint.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import ExitStack
from types import FrameType

from .errors import SandboxError
from .registry import Board, Registry, start_ticks
from .sandbox import Sandbox
from .scenario import LIMIT_MIB, populate
from .virtual_device import VirtualDevice


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def run(directory: str, kind: str, name: str, port: int, options: list[str]) -> None:
    """Be the board until told to stop. Raises SandboxError."""
    registry = Registry(directory)
    root = registry.path(name, ".root")
    with ExitStack() as stack:
        stack.callback(registry.remove, name)
        board = stack.enter_context(Sandbox(LIMIT_MIB, name=f"lmkd_board_{os.getpid()}")) if kind == "sandbox" else None
        device = stack.enter_context(VirtualDevice(root, board, port=port, name=name, options=options))
        if board is not None:
            populate(board)
            device.register()
        log = registry.path(name, ".log")
        registry.write(Board(name, kind, device.address, os.getpid(), start_ticks(os.getpid()), root, log))
        print("up", flush=True)
        if not sys.stdin.buffer.readline():
            return
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        select.select([device.pidfd], [], [])
        raise SandboxError(f"the endpoint of board {name} has died")


def main() -> None:
    """The program; exits with 1 and one line on stderr if the board cannot be made."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
    except SandboxError as error:
        sys.exit(f"board: {error}")


if __name__ == "__main__":
    main()
