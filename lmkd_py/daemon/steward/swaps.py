"""Swap areas come and go, on a phone often after us: then another killer opens what zram tells of the new ones."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from ...kernel.sensing.mounts import under

if TYPE_CHECKING:
    from .event_loop import EventLoop, Handler


class SwapWatch:
    """`fd` is up (EPOLLPRI) when swapon or swapoff has changed /proc/swaps; -1: the kernel has no such file."""

    def __init__(self, root: str = "/") -> None:
        self._path = under(root, "/proc/swaps")
        try:
            self.fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.fd = -1
        self._areas = self._read()

    def be_watched(self, loop: EventLoop, handler: Handler) -> None:
        """Have the handler called at a change. The file is always readable, so that is not asked for."""
        try:
            if self.fd >= 0:
                loop.watch(self.fd, handler, select.EPOLLPRI)
        except PermissionError:  # a file of somebody who stands in for /proc, and cannot be waited for
            pass

    def changed(self) -> bool:
        """Are the areas others than at the last call? How much of them is used does not count."""
        former, self._areas = self._areas, self._read()
        return former != self._areas

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read(self) -> list[list[bytes]]:
        try:
            with open(self._path, "rb") as file:
                return [line.split()[:3] for line in file][1:]
        except OSError:
            return []
