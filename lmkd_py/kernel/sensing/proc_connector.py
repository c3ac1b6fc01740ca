"""The kernel's process events by netlink (CN_PROC): births, exec and renames. For the steward, where BPF is refused.

It tells nothing of oom_score_adj and cgroups, every listener gets every event of the machine, and where the kernel
does not want to tell (another pid or network namespace, no CAP_NET_ADMIN) it may say so or just stay silent.
"""

from __future__ import annotations

import _socket as socket
import ctypes
import errno
import os
import select
import struct
import sys
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NETLINK_CONNECTOR, _GROUP = 11, 1
_SO_ATTACH_FILTER = 26
_NLMSG_DONE = 3
_CN_IDX_PROC, _CN_VAL_PROC, _LISTEN = 1, 1, 1
# In a message: struct nlmsghdr, cn_msg, then proc_event.
_WHAT_AT, _DATA_AT, _LEAST_BYTES = 36, 52, 68
_FORK, _EXEC, _COMM = 1, 2, 0x200
_PROBE_S = 1.0


class ProcConnector:
    """`fd` is readable when there are events. OSError where there are none to be had, or none come."""

    complete = False  # changes of oom_score_adj and cgroup have to be found by looking

    def __init__(self) -> None:
        self.renamed: set[int] = set()  # who has another name, as of the last drain()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR)
        try:
            self._socket.setblocking(False)
            _attach_filter(self._socket)
            self._socket.bind((0, _GROUP))
            body = struct.pack("=IIIIHHI", _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, 4, 0, _LISTEN)
            self._socket.send(struct.pack("=IHHII", 16 + len(body), _NLMSG_DONE, 0, 0, 0) + body)
            self.fd = self._socket.fileno()
            self._probe()
        except BaseException:
            self._socket.close()
            raise

    def drain(self) -> tuple[set[int], bool]:
        """Pids to look at, and whether some were lost: then all have to be looked at."""
        pids: set[int] = set()
        self.renamed.clear()
        while True:
            try:
                message = self._socket.recv(256)
            except BlockingIOError:
                return pids, False
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._discard()
                return pids, True
            if len(message) >= _LEAST_BYTES:
                (what,) = struct.unpack_from("=I", message, _WHAT_AT)
                if what in (_FORK, _EXEC, _COMM):
                    (pid,) = struct.unpack_from("=I", message, _DATA_AT + (12 if what == _FORK else 4))
                    pids.add(pid)
                    if what != _FORK:
                        self.renamed.add(pid)

    def mark(self, pids: Iterable[int]) -> None:
        """As ProcessWatch: here everybody is told of."""

    def mark_anew(self, members: Sequence[int]) -> None:
        """See ProcessWatch.mark_anew."""

    def is_blurred(self) -> bool:
        """See ProcessWatch.is_blurred."""
        return False

    def _discard(self) -> None:
        # What is still there tells nothing that looking at all does not.
        try:
            while True:
                self._socket.recv(256)
        except OSError:
            pass

    def _probe(self) -> None:
        """Give ourselves the name we have: that is an event, too."""
        with open("/proc/self/comm", "r+b", buffering=0) as comm:
            name = comm.read(64).rstrip(b"\n")
            comm.seek(0)
            comm.write(name)
        heard: set[int] = set()
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        deadline = monotonic() + _PROBE_S
        while os.getpid() not in heard:
            # Others may listen in the machine's own namespace: then their events come, but not what we are.
            left_s = deadline - monotonic()
            if left_s <= 0 or not poller.poll(int(left_s * 1000) + 1):
                raise OSError(
                    errno.ENOMSG, "proc connector: nothing is told of ourselves; wanted the machine's own pid namespace"
                )
            heard |= self.drain()[0]

    def close(self) -> None:
        """The kernel stops telling us."""
        self._socket.close()


def _attach_filter(sock: socket.socket) -> None:
    """Let pass births (not of threads), exec and the renames of a process; nobody is woken for anything else."""
    accept, drop = 12, 13
    code = [
        (0x20, 0, 0, _WHAT_AT),  # A = what
        (0x15, accept - 2, 0, _net(_EXEC)),
        (0x15, 0, 4, _net(_FORK)),
        (0x20, 0, 0, _DATA_AT + 8),  # the child's thread and its process: one number, or it is a thread
        (0x07, 0, 0, 0),
        (0x20, 0, 0, _DATA_AT + 12),
        (0x1D, accept - 7, drop - 7, 0),
        (0x15, 0, drop - 8, _net(_COMM)),
        (0x20, 0, 0, _DATA_AT),
        (0x07, 0, 0, 0),
        (0x20, 0, 0, _DATA_AT + 4),
        (0x1D, 0, 1, 0),
        (0x06, 0, 0, 0xFFFFFFFF),
        (0x06, 0, 0, 0),
    ]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(code), ctypes.addressof(packed)))


def _net(value: int) -> int:
    # A socket filter reads words as the network has them.
    return value if sys.byteorder == "big" else int.from_bytes(value.to_bytes(4, "little"), "big")
