"""A hostile device: whatever it sends, the host ends in time with a DeviceError, and takes little memory for it."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkd_py.board.adbd.hostile import KINDS
from lmkd_py.host.adb import shell
from lmkd_py.host.adb.link import LinkError, ProtocolError
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.adb.shell import Collector, OutputTooLong, run_v2, unwrap, v2_service
from lmkd_py.host.adb.sync import SyncRefused, SyncSession
from lmkd_py.host.adb.transport import header_bytes
from lmkd_py.host.connect import Connector
from lmkd_py.host.errors import DeviceError
from lmkd_py.host.targets import Target
from tests.host.conftest import Rack
from tests.host.peer import Peer, Plug
from tests.support import peak_kb

LIMIT_KB = 64 << 10


class Canned:
    """A stream that says what it was given, in pieces."""

    def __init__(self, data: bytes, piece: int = 7) -> None:
        self._data, self._piece = data, piece
        self.sent = bytearray()

    def send(self, data: bytes | memoryview) -> None:
        self.sent += data

    def recv(self) -> bytes:
        data, self._data = self._data[: self._piece], self._data[self._piece :]
        return data

    def pending(self) -> bool:
        return bool(self._data)

    def close(self) -> None:
        pass


def packet(kind: int, data: bytes) -> bytes:
    return struct.pack("<BI", kind, len(data)) + data


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 255), st.integers(1, 40))
def test_the_shell_protocol_is_read_whole_however_it_is_cut(out: bytes, err: bytes, status: int, piece: int) -> None:
    kept = Collector()
    said = packet(1, out) + packet(2, err) + packet(5, b"80x25") + packet(1, out) + packet(3, bytes([status]))
    assert run_v2(Canned(said, piece), kept) == status
    assert (bytes(kept.out), bytes(kept.err)) == (out + out, err)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_status_or_an_error(data: bytes) -> None:
    try:
        assert 0 <= run_v2(Canned(data), Collector(1 << 10)) <= 255
    except (LinkError, ProtocolError, OutputTooLong):
        pass


@given(st.binary(max_size=300))
def test_any_bytes_are_a_wrapped_result_or_an_error(data: bytes) -> None:
    with pytest.raises(LinkError):
        unwrap(data, "0123456789abcdef")


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_from_the_file_service_are_files_or_an_error(data: bytes, piece: int) -> None:
    try:
        SyncSession(Canned(data, piece)).pull(["/a", "/b"], lambda _name, _data: None, 100)
    except (LinkError, ProtocolError, SyncRefused):
        pass


def test_a_file_longer_than_asked_for_is_not_taken() -> None:
    data = (b"DATA" + struct.pack("<I", 64 << 10) + bytes(64 << 10)) * 3
    with pytest.raises(ProtocolError):
        SyncSession(Canned(data, 1 << 20)).pull(["/a"], lambda _name, _data: None, 100_000)


@pytest.mark.parametrize("line", ["a\\0b", "\\ud800"])
def test_a_service_name_is_only_a_name(line: str) -> None:
    assert v2_service(line) == f"shell,v2,raw:{line}"
    assert shell.command_line(["a", "b c"]) == "a 'b c'"


def worked_on(address: str, key: Path) -> None:
    connector = Connector(ServerAddress("127.0.0.1", 1), key, timeout_s=1.0, retries=1, auth_s=0.5)
    device = connector.device(Target(address, False))
    try:
        device.ask("true")
    except DeviceError as failure:
        error: DeviceError | None = failure
    else:
        error = None
    finally:
        device.close()
    assert error is None or (error.serial == address and "\n" not in str(error))


def flood(plug: Plug) -> None:
    plug.greet()
    local = plug.opened()
    while True:
        plug.send(b"WRTE", 1, local, bytes(1 << 20))


def tokens_for_ever(plug: Plug) -> None:
    plug.read()
    while True:
        plug.send(b"AUTH", 1, 0, bytes(20))


def unasked(plug: Plug) -> None:
    plug.greet()
    while True:
        plug.send(b"OKAY", 7, 99)


def huge(plug: Plug) -> None:
    plug.greet()
    local = plug.opened()
    plug.socket.sendall(struct.pack("<4s5I", b"WRTE", 1, local, 0xFFFFFFFF, 0, 0xFFFFFFFF ^ 0x45545257))
    while True:
        plug.socket.sendall(bytes(1 << 16))


def endless_output(plug: Plug) -> None:
    plug.greet()
    local = plug.opened()
    while True:
        command, _, _, _ = plug.read()
        if command in (b"OKAY", b"WRTE"):
            plug.send(b"OKAY", 1, local)
            plug.send(b"WRTE", 1, local, packet(1, bytes(1 << 19)))


def hello_for_ever(plug: Plug) -> None:
    while True:
        plug.socket.sendall(bytes(1 << 16))


def huge_greeting(plug: Plug) -> None:
    plug.read()
    plug.socket.sendall(header_bytes(b"CNXN", 0x01000001, 1 << 20, b"", 0)[:12] + struct.pack("<I", 1 << 30))
    while True:
        plug.socket.sendall(bytes(1 << 16))


ACTS: list[Callable[[Plug], None]] = [
    flood, tokens_for_ever, unasked, huge, endless_output, hello_for_ever, huge_greeting,
]  # fmt: skip


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_a_device_that_never_ends_is_given_up_in_little_memory(act: Callable[[Plug], None], adb_key: Path) -> None:
    before = peak_kb(again=True)
    with Peer(act) as peer:
        worked_on(peer.address, adb_key)
    assert peak_kb() - before < LIMIT_KB


@pytest.mark.parametrize("kind", KINDS)
def test_every_lie_the_virtual_device_knows_is_survived(rack: Rack, kind: str) -> None:
    endpoint = rack.add()
    endpoint.device.faults.hostile = kind
    worker = threading.Thread(target=worked_on, args=(endpoint.address, rack.key), daemon=True)
    worker.start()
    worker.join(30)
    assert not worker.is_alive()


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=120), max_size=4), st.booleans(), st.booleans())
def test_any_bytes_on_the_wire_end_in_an_answer_or_an_error(
    adb_key: Path, parts: list[bytes], greets: bool, opens: bool
) -> None:
    def act(plug: Plug) -> None:
        if greets:
            plug.greet()
            if opens:
                plug.opened()
        for part in parts:
            plug.socket.sendall(part)

    with Peer(act) as peer:
        worked_on(peer.address, adb_key)
