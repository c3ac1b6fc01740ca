"""Through a running adb server: Debian's own, on a port of the tests' own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.board.ports import free_port
from lmkd_py.host.adb.link import LinkError
from lmkd_py.host.adb.server import ServerAddress, ServerLink, list_devices, server_address
from lmkd_py.host.connect import Connector
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.push import push_atomic
from lmkd_py.host.targets import Target
from tests.host.conftest import Rack
from tests.support import require, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerAddress]:
    require(shutil.which("adb"), "no adb here: apt install adb")
    port = free_port()
    command = ["adb", "-P", str(port)]
    environment = {**os.environ, "HOME": str(tmp_path), "ADB_MDNS": "0"}
    subprocess.run([*command, "start-server"], env=environment, check=True, capture_output=True, timeout=60)
    yield ServerAddress("127.0.0.1", port)
    subprocess.run([*command, "kill-server"], env=environment, check=False, capture_output=True, timeout=60)


def attach(server: ServerAddress, address: str) -> None:
    subprocess.run(["adb", "-P", str(server.port), "connect", address], check=True, capture_output=True, timeout=60)


def test_a_device_of_the_server_works_like_any_other(rack: Rack, server: ServerAddress) -> None:
    endpoint = rack.add()
    attach(server, endpoint.address)

    def states() -> tuple[str, ...]:
        return tuple(one.state for one in list_devices(server, 30) or ())

    wait_until("the server shows the device", lambda: states() == ("device",), seen=states)
    device = Connector(server, timeout_s=30).device(Target(endpoint.address, True))
    assert "shell_v2" in device.features
    assert device.run(["printf", "%s", "$(id) 'x'"]) == (0, b"$(id) 'x'", b"")
    assert device.run("exit 7").rc == 7
    data = os.urandom(300_000)
    assert push_atomic(device, data, "/data/adb/there/file")
    assert rack.path(endpoint, "/data/adb/there/file").read_bytes() == data
    device.close()


def test_an_unknown_device_is_offline(server: ServerAddress) -> None:
    device = Connector(server, timeout_s=30).device(Target("nobody", True))
    with pytest.raises(DeviceError) as unknown:
        device.ask("true")
    assert unknown.value.fault == Fault.OFFLINE


def test_no_server_is_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert list_devices(ServerAddress("127.0.0.1", port)) is None


def test_the_server_is_looked_for_where_adb_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_ADB_SERVER_PORT", raising=False)
    monkeypatch.delenv("ANDROID_ADB_SERVER_ADDRESS", raising=False)
    assert server_address() == ("127.0.0.1", 5037)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "5999")
    assert server_address() == ("127.0.0.1", 5999)
    assert server_address("h", 7) == ("h", 7)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "x")
    with pytest.raises(ValueError, match="ANDROID_ADB_SERVER_PORT"):
        server_address()


def test_an_interrupt_while_a_service_is_opened_is_not_lost(tmp_path: Path) -> None:
    interrupt: list[Callable[[], None]] = []

    def serve(listener: socket.socket) -> None:
        for requests in ([b"0004"], [b"", b""]):  # what is behind each OKAY: the features, then a stream
            with listener.accept()[0] as client:
                for answer in requests:
                    client.recv(int(client.recv(4, socket.MSG_WAITALL), 16), socket.MSG_WAITALL)
                    if not answer and interrupt:
                        interrupt.pop()()  # as another thread does at Ctrl-C
                    client.sendall(b"OKAY" + answer + b"none"[: len(answer)])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        adb = threading.Thread(target=serve, args=(listener,), daemon=True)
        adb.start()
        link = ServerLink(ServerAddress("127.0.0.1", listener.getsockname()[1]), "serial", time.monotonic() + 60)
        interrupt.append(link.abort)
        with pytest.raises(LinkError, match="interrupted"):
            link.open("sync:")
        adb.join(20)
