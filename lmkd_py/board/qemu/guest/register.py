"""How applications are made known to a killer: by nobody, in a `procs` file, or by LMK_PROCPRIO on a socket."""

from __future__ import annotations

import os
import socket
import struct

PROCPRIO, PROCREMOVE = 1, 2  # AOSP: lmkd.h


class Register:
    """`where`: empty, `procs:PATH` or `socket:PATH`."""

    def __init__(self, where: str) -> None:
        self._kind, _, self._path = where.partition(":")
        self._known: dict[int, int] = {}
        self._line: socket.socket | None = None
        if self._kind not in ("", "procs", "socket"):
            raise ValueError(f"{where!r}: wanted nothing, procs:PATH or socket:PATH")
        if self._kind == "socket":
            self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._line.connect(self._path)

    def tell(self, pid: int, adj: int) -> None:
        """This application has this oom_score_adj now."""
        self._known[pid] = adj
        self._pass_on(PROCPRIO, pid, 0, adj)

    def forget(self, pid: int) -> None:
        """It is dead."""
        if self._known.pop(pid, None) is not None:
            self._pass_on(PROCREMOVE, pid)

    def _pass_on(self, *words: int) -> None:
        if self._line is not None:
            self._line.send(struct.pack(f">{len(words)}i", *words))
        elif self._kind == "procs":
            with open(f"{self._path}.new", "w") as file:
                file.writelines(f"{pid} 0 {adj}\n" for pid, adj in self._known.items())
            os.replace(f"{self._path}.new", self._path)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
