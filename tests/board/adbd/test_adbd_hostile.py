"""Clients that mean harm, and devices that do: the endpoint stays up, bounded and itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkd_py.board.adbd import connection, hostile
from lmkd_py.board.adbd.device import AdbdDevice
from lmkd_py.board.adbd.packet import AUTH, CLSE, CNXN, COMMANDS, HEADER, OKAY, OPEN, VERSION, WRTE, AdbMessage, encode
from tests.board.adbd_tools import Raw, connect
from tests.board.rack import Rack
from tests.support import wait_until

MakeDevice = Callable[..., tuple[AdbdDevice, str]]
SLACK_KB = 60_000


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, spaces: None) -> Iterator[str]:
    """One device for all the abuse of this module: at the end it still has to work."""
    with Rack([AdbdDevice(str(tmp_path_factory.mktemp("target")), auth_mode="always")]) as rack:
        yield rack.addresses[0]
        client = connect(rack.addresses[0])
        assert client.shell("echo unharmed") == "unharmed\n"
        client.close()
        wait_until("the device has no client left", lambda: not rack.endpoints[0].clients)


def test_lengths_beyond_the_limit_end_the_connection_at_once(target: str) -> None:
    before = resident_kb()
    for length in (0xFFFFFFFF, 1 << 31, (1 << 20) + 1):
        with Raw(target) as client:
            client.hello()
            client.socket.sendall(HEADER.pack(WRTE, 1, 1, length, 0, WRTE ^ 0xFFFFFFFF))
            assert client.is_dropped()
    with Raw(target) as client:  # before CNXN much less is taken
        client.socket.sendall(HEADER.pack(CNXN, VERSION, 1 << 20, 100_000, 0, CNXN ^ 0xFFFFFFFF))
        assert client.is_dropped()
    assert resident_kb() - before < SLACK_KB


@pytest.mark.parametrize(
    "messages",
    [
        [(OPEN, 1, 0, b"shell:id\0")],
        [(AUTH, 3, 0, b"key\0")],
        [(CNXN, VERSION, 1 << 20, b"host::\0"), (CNXN, VERSION, 1 << 20, b"host::\0")],
        [(CNXN, 0, 1 << 20, b"host::\0")],
        [(CNXN, VERSION, 1, b"host::\0")],
        [(CNXN, VERSION, 1 << 20, b"host::\0"), (OPEN, 0, 0, b"shell:id\0")],
        [(CNXN, VERSION, 1 << 20, b"host::\0"), (OPEN, 1, 0, b"x" * 100_000)],
    ],
)
def test_messages_out_of_turn_end_the_connection(target: str, messages: list[tuple[int, int, int, bytes]]) -> None:
    with Raw(target) as client:
        for message in messages:
            client.send(*message)
        assert client.is_dropped()


def opened(client: Raw, service: bytes, local: int = 7) -> int:
    """Open a stream and return the device's id of it."""
    client.send(OPEN, local, 0, service + b"\0")
    answer = client.receive()
    assert answer is not None
    assert (answer.command, answer.arg1) == (OKAY, local)
    return answer.arg0


def test_a_client_that_does_not_wait_for_okay_is_dropped(target: str) -> None:
    with Raw(target) as client:
        client.hello()
        stream = opened(client, b"shell:sleep 5")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                client.send(WRTE, 7, stream, bytes(1 << 20))
        assert client.is_dropped()


def test_messages_sent_before_their_okay_arrive_in_order(target: str) -> None:
    # Debian's adb does this when its stdin ends early: everything at once, the close behind it.
    parts = [bytes((65 + place,)) * 40_000 for place in range(4)]
    with Raw(target) as client:
        client.hello()
        stream = opened(client, b"exec:head -c 160000 | md5sum")
        for part in parts:
            client.send(WRTE, 7, stream, part)
        said = b""
        while not said.endswith(b"-\n"):
            message = client.receive()
            assert message is not None
            said += message.payload
            if message.command == WRTE:
                client.send(OKAY, 7, stream)
    assert said.split()[0].decode() == hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()


def test_two_outputs_of_a_command_wait_for_each_others_okay(target: str) -> None:
    with Raw(target) as client:
        client.hello()
        both = opened(client, b"shell,v2,raw:head -c 70000 /dev/zero; head -c 70000 /dev/zero >&2")
        first = client.receive()
        assert first is not None
        assert first.command == WRTE
        client.send(OPEN, 8, 0, b"exec:sleep 0.5; echo later\0")
        while True:  # our okay is missing: nothing more may come on the first stream, however much there is to say
            message = client.receive()
            assert message is not None
            assert message.arg1 == 8
            if message.command == WRTE:
                break
        size = len(first.payload)
        client.send(OKAY, 7, both)
        while True:
            message = client.receive()
            assert message is not None
            if message.command == CLSE and message.arg1 == 7:
                break
            if message.command == WRTE and message.arg1 == 7:
                size += len(message.payload)
                client.send(OKAY, 7, both)
        assert size > 140_000


def test_streams_beyond_the_limit_are_refused_and_the_others_live(target: str) -> None:
    with Raw(target) as client:
        client.hello()
        for number in range(connection.MAX_STREAMS):
            opened(client, b"sync:", number + 1)
        client.send(OPEN, 999, 0, b"sync:\0")
        refusal = client.receive()
        assert refusal is not None
        assert (refusal.command, refusal.arg0, refusal.arg1) == (CLSE, 0, 999)
        client.send(CLSE, 1, 1)
        assert client.receive() is not None


def test_a_client_that_never_reads_makes_nothing_grow(target: str) -> None:
    before = resident_kb()
    with Raw(target) as client:
        client.hello()
        opened(client, b"shell:cat /dev/zero")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.socket.settimeout(1)
        flood = encode(AdbMessage(OPEN, 5, 0, b"x\0"), check=False) * 1000
        with contextlib.suppress(TimeoutError):  # refusals nobody reads: the device stops listening before it swells
            while True:
                client.socket.sendall(flood)
        assert resident_kb() - before < SLACK_KB


def test_too_many_clients_do_not_lock_out_the_next(target: str) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            with contextlib.suppress(OSError):
                stack.enter_context(Raw(target))
        with Raw(target) as client:
            answer = client.hello()
            assert answer is not None
            assert answer.command == CNXN


sync_frames = st.builds(
    lambda name, length, body: struct.pack("<4sI", name, len(body) if length is None else length) + body,
    st.one_of(
        st.sampled_from([b"STAT", b"STA2", b"LST2", b"LIST", b"LIS2", b"RECV", b"SEND", b"DATA", b"DONE", b"QUIT"]),
        st.binary(min_size=4, max_size=4),
    ),
    st.one_of(st.none(), st.none(), st.integers(0, 0xFFFFFFFF)),
    st.one_of(
        st.binary(max_size=64),
        st.sampled_from(
            [b"/data/local/tmp", b"/data/local/tmp/x,33188", b"../../etc/passwd", b"/data/x,41471", b"/,0"]
        ),
    ),
)
services = st.one_of(
    st.sampled_from([b"sync:", b"shell:cat", b"shell,v2,raw:cat", b"shell,v2,pty:", b"exec:cat", b"tcp:1", b"tcp:x"]),
    st.sampled_from([b"localabstract:", b"localfilesystem:/dev/null", b"localfilesystem:../..", b"shell,v2"]),
    st.binary(max_size=30).filter(lambda data: not data.startswith((b"reboot", b"root", b"unroot", b"shell", b"exec"))),
)
small = st.integers(0, 4)
moves = st.one_of(
    st.builds(lambda local, service: AdbMessage(OPEN, local, 0, service + b"\0"), st.integers(1, 4), services),
    st.builds(
        lambda a, b, frames: AdbMessage(WRTE, a, b, b"".join(frames)), small, small, st.lists(sync_frames, max_size=4)
    ),
    st.builds(AdbMessage, st.sampled_from(sorted(COMMANDS - {CNXN})), small, small, st.binary(max_size=40)),
    st.builds(AdbMessage, st.sampled_from((OKAY, CLSE)), small, small),
)


@given(st.lists(moves, max_size=12), st.binary(max_size=40))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_conversation_leaves_the_device_whole(target: str, said: list[AdbMessage], rubbish: bytes) -> None:
    with Raw(target) as client:
        client.hello()
        with contextlib.suppress(ConnectionError):
            client.socket.sendall(b"".join(encode(message, check=False) for message in said) + rubbish)
            client.socket.shutdown(socket.SHUT_WR)
        assert client.is_dropped()


REQUESTS = (
    (b"sync:", b"LIST\x05\0\0\0/data"),
    (b"sync:", b"STAT\x05\0\0\0/data"),
    (b"sync:", b"RECV\x0b\0\0\0/etc/passwd"),
    (b"sync:", b"RECV\x08\0\0\0/nothing"),
    (b"shell,v2,raw:echo honest", b""),
)


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_every_lie_a_device_can_tell_is_told(make_device: MakeDevice, kind: str) -> None:
    # What the host makes of it is the host room's test; here: each kind says something the honest device does not.
    device, address = make_device()
    honest = [answer(address, *request) for request in REQUESTS]
    assert honest == [answer(address, *request) for request in REQUESTS]
    device.faults.hostile = kind
    assert [answer(address, *request) for request in REQUESTS] != honest


def answer(address: str, service: bytes, body: bytes) -> bytes:
    """All bytes the device sends until the end of its first WRTE, or until it says no more; at most 4 MiB."""
    said = bytearray()
    with Raw(address) as client:
        client.send(CNXN, VERSION - 1, 1 << 20, b"host::\0")  # an old client: data_check counts

        def take(size: int) -> bytes:
            data = client.socket.recv(min(size, 4 << 20), socket.MSG_WAITALL)
            said.extend(data)
            return data

        okays = 0
        with contextlib.suppress(TimeoutError):
            while True:
                head = take(HEADER.size)
                if len(head) < HEADER.size:
                    break
                command, arg0, _, length, _, _ = HEADER.unpack(head)
                client.socket.settimeout(1.0 if length else 60.0)  # a liar may not send what it promises
                take(length) if length else None
                client.socket.settimeout(60.0)
                if command == CNXN:
                    client.send(OPEN, 9, 0, service + b"\0")
                elif command == OKAY:
                    okays += 1
                    if okays == 1 and body:
                        client.send(WRTE, 9, arg0, body)
                    elif okays > 10:
                        break
                else:
                    break
    return bytes(said)
