"""adb-shell 0.4.4 as it is: each fault that lmkd_py.host.adb mends, shown on the library itself and gone in ours.

When a new release mends one, its test here fails: then our way round it can go.
"""

from __future__ import annotations

import importlib.metadata
import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from adb_shell import exceptions  # type: ignore[import-untyped]
from adb_shell.adb_device import AdbDeviceTcp  # type: ignore[import-untyped]
from adb_shell.transport.tcp_transport import TcpTransport  # type: ignore[import-untyped]

from lmkd_py.host.adb.link import ProtocolError
from lmkd_py.host.adb.sync import Sending
from lmkd_py.host.adb.transport import Transport
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.targets import Target
from tests.host.conftest import Rack
from tests.host.peer import Peer, Plug

BIG = bytes(3 << 20)


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """Somebody who accepts and reads nothing, with a small buffer."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    yield listener
    listener.close()


def connected(kind: Any, listener: socket.socket) -> tuple[Any, socket.socket]:
    transport = kind(*listener.getsockname())
    transport.connect(5)
    return transport, listener.accept()[0]


def test_the_pinned_release_is_the_one_that_is_here() -> None:
    assert importlib.metadata.version("adb-shell") == "0.4.4"


def test_theirs_sends_a_part_and_ours_sends_all(peer: socket.socket) -> None:
    theirs, other = connected(TcpTransport, peer)
    assert theirs.bulk_write(BIG, 5) < len(BIG)
    theirs.close()
    other.close()
    ours, other = connected(Transport, peer)
    ours.handshaking = False
    got = bytearray()

    def read() -> None:
        while len(got) < len(BIG):
            got.extend(other.recv(1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    assert ours.bulk_write(BIG, 5) == len(BIG)
    reader.join(20)
    assert len(got) == len(BIG)
    ours.close()
    other.close()


def test_theirs_waits_for_acknowledgements_and_ours_does_not(peer: socket.socket) -> None:
    for kind, wanted in ((TcpTransport, 0), (Transport, 1)):
        transport, other = connected(kind, peer)
        assert bool(transport._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) == bool(wanted)
        transport.close()
        other.close()


def test_theirs_reads_nothing_for_ever_after_the_end_and_ours_says_so(peer: socket.socket) -> None:
    theirs, other = connected(TcpTransport, peer)
    other.close()
    assert theirs.bulk_read(24, 1) == b""
    ours, other = connected(Transport, peer)
    ours.handshaking = False
    other.close()
    with pytest.raises(ConnectionError):
        ours.bulk_read(24, 1)


def test_ours_takes_no_memory_for_a_length_that_nobody_means(peer: socket.socket) -> None:
    ours, other = connected(Transport, peer)
    with pytest.raises(ProtocolError):
        ours.bulk_read(1 << 32, 1)
    other.close()


def test_ours_ends_with_its_deadline_however_much_the_peer_dribbles(peer: socket.socket) -> None:
    ours, other = connected(Transport, peer)
    ours.handshaking = False
    ours.deadline = time.monotonic() + 0.3

    def dribble() -> None:
        try:
            for _ in range(200):
                other.send(b"x")
                time.sleep(0.02)
        except OSError:
            pass

    threading.Thread(target=dribble, daemon=True).start()
    with pytest.raises(exceptions.TcpTimeoutException):
        ours.read_exactly(1000, 10)
    ours.close()


def refusing(plug: Plug) -> None:
    """Says FAIL before it acknowledges the first piece, and takes nothing more."""
    plug.greet()
    local = plug.opened()
    plug.read()
    plug.send(b"WRTE", 1, local, b"FAIL" + (8).to_bytes(4, "little") + b"bad path")
    plug.send(b"OKAY", 1, local)
    while True:
        plug.read()


def test_theirs_loses_the_reason_of_an_early_refusal_and_ours_tells_it(rack: Rack) -> None:
    with Peer(refusing) as peer:
        theirs = AdbDeviceTcp("127.0.0.1", peer.port)
        theirs.connect()
        with pytest.raises(exceptions.TcpTimeoutException):
            theirs.push(io.BytesIO(BIG), "/no/such", transport_timeout_s=1, read_timeout_s=1)
        theirs.close()
        ours = rack.connector().device(Target(peer.address, False))
        with pytest.raises(DeviceError) as told:
            ours.send_files(lambda: [Sending("/no/such", 0o100644, io.BytesIO(BIG).read)])
        assert told.value.fault == Fault.REFUSED
        assert str(told.value).endswith("/no/such: bad path")


def test_theirs_leaves_a_file_behind_a_failed_pull_and_lists_byte_arrays(rack: Rack, tmp_path: Any) -> None:
    theirs = AdbDeviceTcp("127.0.0.1", rack.add().port)
    theirs.connect()
    with pytest.raises(exceptions.AdbCommandFailureException):
        theirs.pull("/no/such", str(tmp_path / "left"))
    assert (tmp_path / "left").exists()
    assert all(isinstance(file.filename, bytearray) for file in theirs.list("/data"))
    theirs.close()


def test_theirs_waits_out_its_time_when_a_service_is_refused_and_ours_sees_it(rack: Rack) -> None:
    endpoint = rack.add()
    theirs = AdbDeviceTcp("127.0.0.1", endpoint.port)
    theirs.connect()
    with pytest.raises(exceptions.TcpTimeoutException):
        theirs._service(b"no-such-service", b"", transport_timeout_s=1, read_timeout_s=1)
    theirs.close()
    ours = rack.device(endpoint)
    with pytest.raises(DeviceError) as refused:
        ours._on_link("it", 30.0, lambda link: link.open("no-such-service:"))
    assert refused.value.fault == Fault.REFUSED
