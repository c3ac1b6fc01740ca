"""A daemon of another release, whose replies this one cannot read: said in one line, never a traceback."""

from __future__ import annotations

import _socket as socket
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.ondevice.daemon import status, stop
from lmkd_py.ondevice.files import Failed
from lmkd_py.ondevice.releases import upgrade

# Of a reply before trace format 2: field 18, triggers, is a string.
FORMER_REPLY = b"\x92\x01\x0fvmpressure low on"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(tmp_path, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{directory}/ctl")
    os.close(directory)
    listener.listen(4)

    def serve() -> None:
        while True:
            try:
                client = socket.socket(fileno=listener._accept()[0])  # type: ignore[attr-defined]
            except OSError:
                return
            client.recv(1000)
            client.send(FORMER_REPLY)
            client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield tmp_path
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    listener.close()


def test_it_is_told_and_nothing_is_changed(root: Path) -> None:
    release = root / "releases" / "new"
    release.mkdir(parents=True)
    told = r"another release.*lmkd-py stop --root"
    with pytest.raises(Failed, match=told):
        status(str(root))
    with pytest.raises(Failed, match=told):
        stop(str(root))
    with pytest.raises(Failed, match=told):
        upgrade(str(root), str(release))
    assert sorted(os.listdir(root)) == ["ctl", "releases"]
