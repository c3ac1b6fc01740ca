"""Swap areas come and go, on a phone often after us: then another killer opens what zram tells of the new ones."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from ...kernel.sensing.mounts import under
from .backoff import NEVER, Backoff

if TYPE_CHECKING:
    from ...kernel.sensing.domain import Domain
    from .event_loop import EventLoop, Handler


# Since the last change: who swaps an area off often swaps it on again at once. Then it may be another device by the
# same name, of the same size.
SETTLE_S = 1.0


class SwapWatch:
    """`fd` is up (EPOLLPRI) when swapon or swapoff has changed /proc/swaps; -1: the kernel has no such file.

    `told`: it was up, and nobody has looked since; the kernel says so once. `refused`: why there is no other killer.
    """

    def __init__(self, root: str = "/") -> None:
        self._path = under(root, "/proc/swaps")
        try:
            self.fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.fd = -1
        self._areas = self._read()
        self.told = False
        self.refused = ""
        self._stale: Domain | None = None  # of a guard that knows the former areas only
        self._retry = Backoff()

    def be_watched(self, loop: EventLoop, handler: Handler) -> None:
        """Have the handler called at a change. The file is always readable, so that is not asked for."""
        try:
            if self.fd >= 0:
                loop.watch(self.fd, handler, select.EPOLLPRI)
        except PermissionError:  # a file of somebody who stands in for /proc, and cannot be waited for
            pass

    def heed(self, _: int) -> None:
        """/proc/swaps is up."""
        self.told = True

    def changed(self) -> bool:
        """Are the areas others than at the last call? How much of them is used does not count."""
        former, self._areas = self._areas, self._read()
        return former != self._areas

    def outdate(self, domain: Domain) -> None:
        """The guard with this domain is to be replaced, when areas have not come or gone for a while."""
        self._stale = domain
        self._retry.reset()
        self._retry.failed(SETTLE_S)
        self.refused = ""

    def is_due(self, domain: Domain) -> bool:
        """Whether the guard, which has this domain by now, is to be replaced and it is time to try."""
        if self._stale is not domain:
            self._stale = None  # another one has been made since, and knows
            return False
        return self._retry.is_due()

    def tried(self, refused: str) -> None:
        """It was tried: why it did not work, or ''. Where it did, the domain is another one."""
        self.refused = refused
        if refused:
            self._retry.failed()
        else:
            self._stale = None

    def wait_s(self) -> float:
        """Seconds until the next try."""
        return self._retry.left_s() if self._stale is not None else NEVER

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
