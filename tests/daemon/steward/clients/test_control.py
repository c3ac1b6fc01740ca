"""The control socket takes any bytes from any number of clients: the daemon guards on and answers whoever asks well."""

from __future__ import annotations

import _socket as socket
import os
import stat
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.daemon.steward.clients.control import MAX_CLIENTS, REQUEST_BYTES
from lmkd_py.wire.control import Request, Verb, decode_reply, decode_request, encode_request
from lmkd_py.wire.control_client import connect
from lmkd_py.wire.message import MessageError
from tests.daemon.driver import Daemon, wait_until
from tests.support import needs_cgroup

pytestmark = needs_cgroup
Start = Callable[..., Daemon]
STATUS = encode_request(Request(Verb.STATUS))


def is_no_stop(packet: bytes) -> bool:
    try:
        return decode_request(packet[:REQUEST_BYTES]).verb != Verb.STOP
    except MessageError:
        return True


def fds_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


any_bytes = st.binary(min_size=1, max_size=REQUEST_BYTES)
near_requests = st.integers(0, 2**64 - 1).map(lambda verb: encode_request(Request(verb % 2**31)))
packets = st.lists(st.one_of(any_bytes, near_requests, st.just(STATUS)).filter(is_no_stop), min_size=1, max_size=4)


def test_no_packet_and_no_crowd_of_clients_ends_the_daemon(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    before = fds_of(daemon.pid)

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(st.lists(packets, min_size=MAX_CLIENTS + 1, max_size=MAX_CLIENTS + 1), st.booleans())
    def crowd(each_sends: list[list[bytes]], reads: bool) -> None:
        clients = [connect(str(tmp_path)) for _ in each_sends]  # one more than are served at once
        try:
            for client, sends in zip(clients, each_sends, strict=True):
                for packet in sends:
                    say(client, packet, reads)
        finally:
            for client in clients:
                client.close()
        assert daemon.status().armed

    crowd()
    status = daemon.status()
    assert status.steward_pid == daemon.pid
    assert status.killer_pid == daemon.killer_pid
    wait_until("it has let go of the last clients", lambda: fds_of(daemon.pid) <= before)
    assert daemon.stop() == 0


def say(client: socket.socket, packet: bytes, reads: bool) -> None:
    """Send it; a reply is a whole one, or the daemon has hung up on this client."""
    try:
        client.send(packet)
        reply = client.recv(65536) if reads else b""
    except (BrokenPipeError, ConnectionResetError):
        return
    if reply:
        told = decode_reply(reply)
        assert told.steward_pid or told.text.startswith("bad request: ")
        assert told.ok or told.text


def test_a_client_that_never_reads_does_not_hold_up_the_others(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    deaf = connect(str(tmp_path))
    deaf.setblocking(False)
    sent = 0
    try:
        while sent < 10_000:
            deaf.send(STATUS)
            sent += 1
    except BlockingIOError:
        pass
    assert sent > 10
    for _ in range(50):
        assert daemon.status().armed
    deaf.close()
    assert daemon.stop() == 0


def test_the_client_beyond_the_last_place_takes_that_of_the_oldest(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    daemon = start(board)
    clients = [connect(str(tmp_path)) for _ in range(MAX_CLIENTS + 1)]
    clients[-1].send(STATUS)
    assert decode_reply(clients[-1].recv(65536)).armed
    assert clients[0].recv(16) == b""
    clients[1].send(STATUS)
    assert decode_reply(clients[1].recv(65536)).armed
    for client in clients:
        client.close()
    assert daemon.stop() == 0


def test_the_socket_is_for_its_owner_alone(board: Sandbox, start: Start, tmp_path: Path) -> None:
    start(board)
    mode = (tmp_path / "ctl").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_stop_by_request_is_as_clean_as_by_signal(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    assert daemon.ask(Verb.STOP).ok
    assert daemon.process.wait(30) == 0
    assert not (tmp_path / "ctl").exists()
