"""A board in the background, as `Boards.up` starts it; arguments: DIRECTORY KIND NAME PORT [endpoint options].

It says `up` on stdout once it answers, progress in other lines before, and stays when it then reads a line; without
one its starter has died, and it ends. SIGTERM ends it; so does the death of its endpoint.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from .boards import KEYS, SNAPSHOT, Board, Boards, start_ticks
from .errors import SandboxError
from .orders import listen, serve_one
from .qemu.machine import QemuBoard
from .qemu.profile import DEFAULT_PROFILE
from .qemu.snapshot import BoardSnapshot
from .sandbox import Sandbox
from .scenario import LIMIT_MIB, PRESSURES, Scene, populate, press, revive
from .virtual_device import VirtualDevice


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def run(directory: str, kind: str, name: str, port: int, options: list[str]) -> None:
    """Be the board until told to stop. Raises SandboxError."""
    boards = Boards(directory)
    if kind == "qemu":
        _emulate(boards, name, port, *options)
        return
    root = boards.path(name, ".root")
    with ExitStack() as stack:
        stack.callback(boards.remove, name)
        board = stack.enter_context(Sandbox(LIMIT_MIB, name=f"lmkd_board_{os.getpid()}")) if kind == "sandbox" else None
        keys = _keys(boards, name)
        device = stack.enter_context(VirtualDevice(root, board, keys=keys, port=port, name=name, options=options))
        scene = populate(board) if board is not None else None
        if scene is not None:
            device.register()
        listener = stack.enter_context(listen(boards.path(name, ".ctl")))
        if not _answers(boards, Board(name, kind, device.address, os.getpid(), start_ticks(os.getpid()), root, "")):
            return
        while device.is_alive():
            if listener in select.select([device.pidfd, listener], [], [])[0]:
                serve_one(listener, lambda words: _obey(device, scene, words))
        raise SandboxError(f"the endpoint of board {name} has died")


def _emulate(boards: Boards, name: str, port: int, profile: str = "", restored: str = "") -> None:
    snapshot = BoardSnapshot(Path(boards.path(restored, SNAPSHOT))) if restored else None
    profile = snapshot.profile if snapshot else profile or DEFAULT_PROFILE
    with ExitStack() as stack:
        stack.callback(boards.remove, name)
        machine = stack.enter_context(_emulator(boards, profile, name, port, snapshot))
        pidfd = os.pidfd_open(machine.process.pid)
        listener = stack.enter_context(listen(boards.path(name, ".ctl")))
        board = Board(name, "qemu", machine.address, os.getpid(), start_ticks(os.getpid()), "", "")
        if not _answers(boards, board):
            return

        def obey(words: list[str]) -> list[str]:
            match words:
                case ["snapshot", path]:
                    machine.save(Path(bytes.fromhex(path).decode("utf-8", "surrogateescape")))
                    return []
            raise SandboxError(f"found {words}, wanted: snapshot PATH")

        while not select.select([pidfd], [], [], 0)[0]:
            if listener in select.select([pidfd, listener], [], [])[0]:
                serve_one(listener, obey)
        raise SandboxError(f"board {name} has ended: {machine.last_words()}")


def _emulator(boards: Boards, profile: str, name: str, port: int, snapshot: BoardSnapshot | None) -> QemuBoard:
    place = Path(boards.path(name, ""))
    keys = _keys(boards, name)
    with suppress(FileNotFoundError):
        Path(f"{place}.console").unlink()  # of an earlier board of this name
    return QemuBoard(profile, place, port, snapshot=snapshot, say=lambda line: print(line, flush=True), keys=keys)


def _keys(boards: Boards, name: str) -> list[bytes] | None:
    # As the starter wrote them; None, this user's own, where nobody did.
    with suppress(FileNotFoundError):
        return Path(boards.path(name, KEYS)).read_bytes().splitlines()
    return None


def _answers(boards: Boards, board: Board) -> bool:
    """Record the board and say so; False when its starter has died meanwhile."""
    boards.write(replace(board, log=boards.path(board.name, ".console" if not board.root else ".log")))
    print("up", flush=True)
    if not sys.stdin.buffer.readline():
        return False
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    return True


def _obey(device: VirtualDevice, scene: Scene | None, words: list[str]) -> list[str]:
    """press KIND SECONDS: who died of it."""
    if device.board is None or scene is None:
        raise SandboxError("this board has no applications; wanted a sandbox")
    match words:
        case ["press", kind, seconds] if kind in PRESSURES:
            if revive(device.board, scene):
                device.register()
            return press(device.board, scene, kind, float(seconds))
    raise SandboxError(f"found {words}, wanted: press {'|'.join(PRESSURES)} SECONDS")


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
