"""Virtual devices that speak ADB, in this process, with their faults at hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lmkd_py.board.adbd.device import AdbdDevice
from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.connect import Connector
from lmkd_py.host.device import Device
from lmkd_py.host.targets import Target

T = TypeVar("T")


class Rack:
    """Virtual devices, and connections to them."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.folder = folder
        self.key = key
        self.endpoints: list[Endpoint] = []
        self._opened: list[Device] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the devices' thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def add(self, name: str = "", **how: Any) -> Endpoint:
        """Add a device and switch it on."""
        name = name or f"device-{len(self.endpoints)}"
        how.setdefault("auth_mode", "always")  # tests of AUTH say otherwise
        endpoint = Endpoint(AdbdDevice(str(self.folder / f"{len(self.endpoints)}"), name, **how))
        self.do(endpoint.start())
        self.endpoints.append(endpoint)
        return endpoint

    def add_again(self, endpoint: Endpoint, port: int) -> Endpoint:
        """The device of a stopped endpoint, switched on again on that port."""
        back = Endpoint(endpoint.device)
        self.do(back.start(port))
        self.endpoints.append(back)
        return back

    def unplug(self, endpoint: Endpoint) -> None:

        async def cut() -> None:
            endpoint.unplug()

        self.do(cut())

    def connector(self, **how: Any) -> Connector:
        """A connector with short timeouts."""
        return Connector(ServerAddress("127.0.0.1", 1), self.key, **{"timeout_s": 60.0, "auth_s": 1.0, **how})

    def device(self, endpoint: Endpoint, **how: Any) -> Device:
        device = self.connector(**how).device(Target(endpoint.address, False))
        self._opened.append(device)
        return device

    def path(self, endpoint: Endpoint, path: str) -> Path:
        """Where a file of the device lies on this machine."""
        return Path(endpoint.device.root) / path.lstrip("/")

    def close(self) -> None:
        for device in self._opened:
            device.close()
        for endpoint in self.endpoints:
            self.do(endpoint.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="session")
def adb_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key of the tests' own: the user's is left alone."""
    return tmp_path_factory.mktemp("keys") / "adbkey"


@pytest.fixture
def rack(tmp_path: Path, adb_key: Path) -> Iterator[Rack]:
    made = Rack(tmp_path / "devices", adb_key)
    yield made
    made.close()


@pytest.fixture(params=["modern", "legacy"])
def any_device(request: pytest.FixtureRequest, rack: Rack) -> Device:
    """A device of today, and one from before Android 7: no exit status, no streams, CRLF, 4 KiB."""
    from lmkd_py.board.adbd.device import LEGACY, MODERN

    return rack.device(rack.add(personality=LEGACY if request.param == "legacy" else MODERN))
