"""Devices in this process, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Optional, TypeVar

from lmkd_py.board.adbd.device import AdbdDevice
from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.board.adbd.sweeper import Sweeper

_T = TypeVar("_T")
_PATIENCE_S = 60.0


class Rack:
    """`with Rack([AdbdDevice(...), ...]) as rack:` - rack.addresses; every device's faults can be changed at will."""

    def __init__(self, devices: Sequence[AdbdDevice], ports: Sequence[int] = ()) -> None:
        self.devices = list(devices)
        self.endpoints = [Endpoint(device) for device in self.devices]
        self.addresses: list[str] = []
        self._ports = list(ports) or [0] * len(self.devices)
        self._sweeper = Sweeper()
        for device in self.devices:
            device.sweeper = self._sweeper
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="adbd", daemon=True)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the devices' loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    def call(self, work: Callable[[], _T]) -> _T:
        """Run a function in the devices' thread: what touches connections has to."""

        async def inside() -> _T:
            return work()

        return self.run(inside())

    def __enter__(self) -> Rack:
        self._thread.start()
        try:
            for endpoint, port in zip(self.endpoints, self._ports):
                self.addresses.append(self.run(endpoint.start(port)))
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        try:
            for endpoint in self.endpoints:
                self.run(endpoint.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE_S)
            self._loop.close()
            self._sweeper.close()

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()
