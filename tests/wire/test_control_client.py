"""The one client of the control socket: what it says when nobody listens, nobody answers, or what answers is odd."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.wire.control import Reply, Verb, decode_request, encode_reply
from lmkd_py.wire.control_client import ask
from lmkd_py.wire.message import MessageError


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
        os.chdir(tmp_path)  # a test's folder may be longer than a socket address
        try:
            made.bind("ctl")
        finally:
            os.chdir(here)
        made.listen(1)
        yield made


def answered(listener: socket.socket, reply: bytes) -> list[bytes]:
    """Answer one client with these bytes; its request."""
    requests: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            requests.append(client.recv(1000))
            if reply:
                client.send(reply)

    threading.Thread(target=serve, daemon=True).start()
    return requests


def test_it_asks_and_returns_the_reply(listener: socket.socket, tmp_path: Path) -> None:
    requests = answered(listener, encode_reply(Reply(ok=1, kills=7)))
    assert ask(str(tmp_path), Verb.STATUS).kills == 7
    assert [decode_request(data).verb for data in requests] == [Verb.STATUS]


def test_who_hangs_up_and_who_answers_oddly_is_told(listener: socket.socket, tmp_path: Path) -> None:
    answered(listener, b"")
    with pytest.raises(ConnectionResetError, match="hung up"):
        ask(str(tmp_path), Verb.STATUS)
    answered(listener, b"\xff" * 9)
    with pytest.raises(MessageError):
        ask(str(tmp_path), Verb.STATUS)


def test_nobody_answers_in_time(listener: socket.socket, tmp_path: Path) -> None:
    gc.collect()  # or a file that a test before this one has lost is closed meanwhile
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(TimeoutError):
        ask(str(tmp_path), Verb.STATUS, 0.1)
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("folder", [".", "missing"])
def test_nobody_listens(tmp_path: Path, folder: str) -> None:
    with pytest.raises(FileNotFoundError):
        ask(str(tmp_path / folder), Verb.STATUS)


def test_a_queue_that_is_full_is_waited_for(listener: socket.socket, tmp_path: Path) -> None:
    listener.listen(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as first:
        directory = os.open(tmp_path, os.O_RDONLY)
        first.connect(f"/proc/self/fd/{directory}/ctl")
        os.close(directory)

        def serve() -> None:
            listener.accept()[0].close()  # the first makes room
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.send(encode_reply(Reply(ok=1)))

        timer = threading.Timer(0.2, serve)
        timer.daemon = True
        timer.start()
        assert ask(str(tmp_path), Verb.STATUS).ok == 1
