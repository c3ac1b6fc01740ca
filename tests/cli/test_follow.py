"""What goes on until Ctrl-C: logs -f, collect --follow and watch, over a cable that is pulled on the way."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.cli.demo_adb import TraceFollower
from lmkd_py.cli.watch_view import Kills
from lmkd_py.core.config import Config
from lmkd_py.host.collect import Collection
from lmkd_py.host.service import Service
from tests.analysis.counted import decoded
from tests.analysis.long import kills
from tests.analysis.paper import TRIGGERS, frame, header
from tests.host.conftest import Rack
from tests.host.test_collect import collected, frames, put
from tests.host.test_steps import OLD_CONFIG, PAYLOAD, ROOT, install, push
from tests.support import REPO_ROOT, wait_until

LMKCTL = [sys.executable, "-c", "import sys; from lmkd_py.cli.app import run; sys.exit(run(sys.argv[1:]))"]


@contextmanager
def lmkctl(rack: Rack, endpoint: Endpoint, *words: str, terminal: int = -1) -> Iterator[subprocess.Popen[bytes]]:
    """The program on one device; ended with the block if it has not ended by itself."""
    environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": "1", "LMKD_BOARDS": str(rack.folder / "boards")}
    out = subprocess.PIPE if terminal < 0 else terminal
    command = [*LMKCTL, "--key", str(rack.key), "-s", endpoint.address, *words]
    with subprocess.Popen(command, cwd=REPO_ROOT, env=environment, stdout=out, stderr=out) as program:
        try:
            yield program
        finally:
            program.kill()


def interrupt(program: subprocess.Popen[bytes]) -> int:
    program.send_signal(signal.SIGINT)
    return program.wait(60)


@pytest.mark.all_suite
def test_a_collection_that_follows_loses_and_doubles_nothing_over_a_pulled_cable(rack: Rack, tmp_path: Path) -> None:
    endpoint = rack.add()
    place = put(rack, frames(0, 100))
    out = tmp_path / "out"

    def is_whole() -> bool:
        return list(collected(out).values()) == [place.read_bytes()]

    with lmkctl(rack, endpoint, "collect", "--follow", "-o", str(out), "--class", "c") as program:
        wait_until("the trace is whole", is_whole)
        for begin in range(100, 400, 100):
            rack.unplug(endpoint)
            put(rack, frames(begin, 100))
            rack.unplug(endpoint)
            wait_until("the trace is whole", is_whole)
        assert interrupt(program) == 130
    assert is_whole()


@pytest.mark.all_suite
def test_a_collection_that_follows_outlives_a_device_that_is_away(rack: Rack, tmp_path: Path) -> None:
    endpoint = rack.add()
    place = put(rack, frames(0, 10))
    out = tmp_path / "out"
    with lmkctl(rack, endpoint, "--retries", "0", "collect", "--follow", "-o", str(out)) as program:
        wait_until("the trace is whole", lambda: list(collected(out).values()) == [place.read_bytes()])
        assert program.stderr
        assert b"10 new frames in" in program.stderr.readline()
        port = endpoint.port
        rack.do(endpoint.stop())
        assert program.stderr.readline().endswith(b"; continues when it is connected again\n")
        back = rack.add_again(endpoint, port)
        put(rack, frames(10, 10))
        wait_until("the trace is whole", lambda: list(collected(out).values()) == [place.read_bytes()])
        assert interrupt(program) == 130
        assert b"10 new frames in" in program.stderr.read()
    assert back.address == endpoint.address


def test_logs_follow_on_over_a_pulled_cable(rack: Rack) -> None:
    endpoint = rack.add()
    log = rack.path(endpoint, f"{ROOT}/log")
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(300)))
    with lmkctl(rack, endpoint, "logs", "-f", "-n", "2") as program:
        assert program.stdout
        assert [program.stdout.readline() for _ in range(2)] == [b"line 298\n", b"line 299\n"]
        with log.open("a") as file:
            file.write("line 300\n")
        assert program.stdout.readline() == b"line 300\n"
        rack.unplug(endpoint)
        said: list[bytes] = []

        def hears() -> bool:  # what is written before the new connection stands is not promised
            with log.open("a") as file:
                file.write(f"line {301 + len(said)}\n")
            os.set_blocking(program.stdout.fileno(), False)  # type: ignore[union-attr]
            said.append(program.stdout.read() or b"")  # type: ignore[union-attr]
            return b"".join(said) != b""

        wait_until("a line comes", hears)
        assert interrupt(program) == 130


@pytest.mark.root("starts the daemon on a virtual device")
def test_watch_draws_on_a_terminal_and_leaves_it_clean(rack: Rack) -> None:
    endpoint = rack.add()
    device = rack.device(endpoint)
    install(device, PAYLOAD)
    push(device, OLD_CONFIG)
    service = Service(device, ROOT)
    service.start(observe=True)
    ours, theirs = pty.openpty()
    seen = b""
    try:
        with lmkctl(rack, endpoint, "watch", "--every", "0.2", terminal=theirs) as program:
            os.close(theirs)
            while seen.count(b"armed, observing") < 3:
                seen += os.read(ours, 65536)
            assert interrupt(program) == 130
            try:
                while chunk := os.read(ours, 65536):
                    seen += chunk
            except OSError:  # the other end is closed
                pass
    finally:
        os.close(ours)
        service.stop()
    assert b"memory " in seen
    assert b"stall some" in seen
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h") == 1  # the cursor is hidden, and shown again


def test_watch_and_the_demo_read_and_decode_only_what_is_new(rack: Rack, tmp_path: Path) -> None:
    """Each look at a growing trace costs what has come since the last, not what is there."""
    endpoint = rack.add()
    device = rack.device(endpoint)
    parts = [frame(header(Config())), *map(frame, kills(4))]
    first, rest = b"".join(parts[:7]), parts[7:]  # two kills
    put(rack, first)
    watched = Kills(Collection(device, tmp_path / "watch"))
    follower = TraceFollower(Collection(device, tmp_path / "demo"))
    with decoded() as seen:
        assert [line.partition(":")[0] for line in watched.take()] == ["kill 1", "kill 2"]
        assert seen == [0, 2]
        assert [record.seq for record in follower.new_records()] == [0, 1, 2, 3]
        seen.clear()
        put(rack, b"".join(rest[:3]))
        assert [line.partition(":")[0] for line in watched.take()] == ["kill 3"]
        assert [record.seq for record in follower.new_records()] == [4, 5]
        assert seen == [4, 4, 5]
        seen.clear()
        put(rack, b"".join(rest[3:]), "0002.lmkt")
        assert [line.partition(":")[0] for line in watched.take()] == ["kill 4"]
        assert [record.seq for record in follower.new_records()] == [6, 7]
        assert watched.take() == []
        assert follower.new_records() == []
        assert seen == [6, 6, 7]
    assert follower.triggers == TRIGGERS
    assert len(watched.lines) == 4
