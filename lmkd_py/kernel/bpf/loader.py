"""Loads BPF programs in a short-lived child: the caller neither grows nor imports what only loading needs.

The child resolves the kernel's types, loads, attaches and pins, passes the descriptors over a socket pair and ends.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import _socket as socket
import os
import struct
from typing import TYPE_CHECKING

from ..acting.syscalls import PR_SET_PDEATHSIG, prctl
from .order import AttachedProgram, BpfRefused, Order

if TYPE_CHECKING:
    from collections.abc import Callable

_ANSWER = struct.Struct("=i")  # variant, 0: refused; the text behind it is the notes or the refusal
_MAX_TEXT, _MAX_FDS = 16384, 16
_PATIENCE_S = 60.0  # under thrash the child's 20 MB may take long; a hung one must not hang the daemon's start


def load_apart(order: Order, cache_dir: str, pin_dir: str) -> AttachedProgram:
    """The program attached and its limits set, not armed. BpfRefused (one line) where that cannot be done.

    cache_dir keeps the kernel's offsets ("": nowhere), pin_dir the link after a crash ("": it dies with us).
    """

    def build() -> tuple[int, list[int], list[str]]:
        from . import child  # only in the loading process: it must not grow the caller

        return child.build(order, cache_dir, pin_dir)

    variant, fds, notes = apart(build)
    return AttachedProgram(variant, fds[0], fds[1], fds[2], fds[3], tuple(fds[4:]), notes)


def apart(build: Callable[[], tuple[int, list[int], list[str]]]) -> tuple[int, list[int], tuple[str, ...]]:
    """What `build` returns in a short-lived child: a number above 0, descriptors (ours from then on), notes.

    BpfRefused with the reason where it raises, or does not answer.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            _serve(theirs, build)
        finally:
            os._exit(0)
    theirs.close()
    try:
        ours.settimeout(_PATIENCE_S)
        return _receive(ours)
    except OSError as error:
        raise BpfRefused(f"the loading process did not answer ({error}); wanted its descriptors") from None
    finally:
        ours.close()
        os.kill(child, signal.SIGKILL)  # not reaped yet, so the pid is still its own
        os.waitpid(child, 0)


def _serve(channel: socket.socket, build: Callable[[], tuple[int, list[int], list[str]]]) -> None:
    try:
        signal.set_wakeup_fd(-1)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        variant, fds, notes = build()
    except BpfRefused as refusal:
        variant, fds, notes = 0, [], [str(refusal)]
    except Exception as error:  # whatever it is, the daemon has to hear of it and start without
        variant, fds, notes = 0, [], [f"the loading process failed: {error!r}"]
    text = "\n".join(note.replace("\n", " ") for note in notes).encode("utf-8", "replace")[:_MAX_TEXT]
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))] if fds else []
    channel.sendmsg([_ANSWER.pack(variant), text], rights)


def _receive(channel: socket.socket) -> tuple[int, list[int], tuple[str, ...]]:
    data, ancillary, _, _ = channel.recvmsg(
        _ANSWER.size + _MAX_TEXT, socket.CMSG_SPACE(4 * _MAX_FDS), socket.MSG_CMSG_CLOEXEC
    )
    fds: list[int] = []
    for level, kind, rights in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += struct.unpack(f"={len(rights) // 4}i", rights)
    if len(data) < _ANSWER.size:
        raise BpfRefused("the loading process ended without an answer; wanted its descriptors: killed?")
    variant = _ANSWER.unpack_from(data)[0]
    notes = tuple(data[_ANSWER.size :].decode("utf-8", "replace").splitlines())
    if not variant:
        raise BpfRefused("; ".join(notes))
    return variant, fds, notes
