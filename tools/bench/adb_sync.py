"""Files to a device and back, beside Debian's adb: the same endpoint, the same run, in turns.

Ours is timed inside this process, adb as a whole command with its server already connected: what a person waits for
beyond that is the start of an interpreter, once a command and not once a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from lmkd_py.board.ports import free_port
from lmkd_py.host.adb.keys import public_keys
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.adb.sync import Sending
from lmkd_py.host.connect import Connector
from lmkd_py.host.device import Device
from lmkd_py.host.fleet import run_fleet
from lmkd_py.host.targets import Target
from lmkd_py.host.tree import Tree, push_tree
from tools.bench.guards import REPOSITORY
from tools.bench.programs import MissingToolError

BIG_BYTES = 12_000_000
SMALL_FILES, SMALL_BYTES = 1000, 4096
KEY = ".android/adbkey"  # below HOME, where adb looks, too
DEVICES = 8
THERE = "/data/local/tmp"
REGULAR = 0o100644


class Transfer(NamedTuple):
    """The times of one kind of transfer, in seconds, one value per round."""

    label: str
    ours_s: list[float]
    adb_s: list[float]

    @property
    def ratio(self) -> float:
        """The median of lmkctl divided by the median of adb."""
        return median(self.ours_s) / median(self.adb_s)


class Pair(NamedTuple):
    """What ours and adb do for the same result. Both get the number of the round: nothing is there already."""

    label: str
    ours: Callable[[int], object]
    adb: Callable[[int], object]


class Bench:
    """Endpoints, a private adb server that knows them, and files to send. Close it with the context of bench()."""

    def __init__(self, scratch: Path, addresses: Sequence[str], server_port: int) -> None:
        self.scratch = scratch
        self.addresses = addresses
        self._environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(server_port), "HOME": str(scratch)}
        connector = Connector(ServerAddress("127.0.0.1", server_port), scratch / KEY)
        self.devices = [connector.device(Target(address, via_server=False)) for address in addresses]
        self.big = scratch / "big"
        self.big.write_bytes(os.urandom(BIG_BYTES))
        self.small = scratch / "small"
        self.small.mkdir()
        for number in range(SMALL_FILES):
            (self.small / f"f{number:04}").write_bytes(os.urandom(SMALL_BYTES))

    def adb(self, address: str, *words: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            ["adb", "-s", address, *words], env=self._environment, stdout=quiet, stderr=subprocess.PIPE
        )

    def adb_all(self, addresses: Sequence[str], *words: str) -> None:
        """One client for each address, at once. RuntimeError when one fails."""
        for client in [self.adb(address, *words) for address in addresses]:
            _, said = client.communicate(timeout=120)
            if client.returncode:
                raise RuntimeError(f"adb {' '.join(words)}: {said.decode(errors='replace').strip()}")

    def connect(self) -> None:
        """Have adb's server connect to all of them, and ours make its connections."""
        for address in self.addresses:
            subprocess.run(
                ["adb", "connect", address], env=self._environment, check=True, capture_output=True, timeout=60
            )
            self.adb_all([address], "wait-for-device")
        for device in self.devices:
            device.ask(["mkdir", "-p", f"{THERE}/there"])

    def kill_server(self) -> None:
        subprocess.run(["adb", "kill-server"], env=self._environment, capture_output=True, timeout=60)

    # -- the same work, both ways -------------------------------------------------------------------------------

    def push_big(self, device: Device) -> None:
        """Push one large file with lmkctl's code."""
        with self.big.open("rb") as file:
            device.send_files(lambda: [Sending(f"{THERE}/big", REGULAR, file.read)])

    def push_small(self, device: Device, folder: str) -> None:
        """Push many small files over one stream with lmkctl's code."""

        def files() -> Iterator[Sending]:
            for path in self.small.iterdir():
                with path.open("rb") as file:
                    yield Sending(f"{folder}/{path.name}", REGULAR, file.read)

        device.send_files(files)

    def pull(self, device: Device, names: Sequence[str], into: Path) -> None:
        """Pull these files into a directory with lmkctl's code."""
        into.mkdir(exist_ok=True)
        open_name, out = "", None
        try:

            def sink(name: str, data: bytes) -> None:
                nonlocal open_name, out
                if name != open_name:
                    if out is not None:
                        out.close()
                    out = (into / name.rpartition("/")[2]).open("wb")
                    open_name = name
                assert out is not None
                out.write(data)

            device.fetch_files(names, sink, 1 << 30)
        finally:
            if out is not None:
                out.close()

    def pairs(self) -> list[Pair]:
        """Everything that is compared; pulls come after the pushes whose files they fetch."""
        one, first = self.devices[0], self.addresses[:1]
        smalls = [f"{THERE}/there/{path.name}" for path in sorted(self.small.iterdir())]
        tree = Tree.of(self.small)
        several = f"{len(self.devices)} devices at once: "
        return [
            Pair(
                "push 12 MB", lambda _: self.push_big(one), lambda _: self.adb_all(first, "push", str(self.big), THERE)
            ),
            Pair(
                "pull 12 MB",
                lambda _: self.pull(one, [f"{THERE}/big"], self.scratch / "pulled"),
                lambda _: self.adb_all(first, "pull", f"{THERE}/big", str(self.scratch / "adb-big")),
            ),
            Pair(
                "push 1,000 files of 4 KiB",
                lambda _: self.push_small(one, f"{THERE}/there"),
                lambda _: self.adb_all(first, "push", f"{self.small}/.", f"{THERE}/there"),
            ),
            Pair(
                "pull 1,000 files of 4 KiB",
                lambda _: self.pull(one, smalls, self.scratch / "pulled"),
                lambda _: self.adb_all(first, "pull", f"{THERE}/there", str(self.scratch / "adb-small")),
            ),
            Pair(
                "atomic, verified tree of 1,000 files against adb's plain push",
                lambda turn: push_tree(one, tree, f"{THERE}/tree{turn}"),
                lambda turn: self.adb_all(first, "push", str(self.small), f"{THERE}/plain{turn}"),
            ),
            Pair(
                several + "push 12 MB",
                lambda _: self._fleet(self.push_big),
                lambda _: self.adb_all(self.addresses, "push", str(self.big), THERE),
            ),
            Pair(
                several + "push 1,000 files of 4 KiB",
                lambda _: self._fleet(lambda device: self.push_small(device, f"{THERE}/there")),
                lambda _: self.adb_all(self.addresses, "push", f"{self.small}/.", f"{THERE}/there"),
            ),
        ]

    def _fleet(self, work: Callable[[Device], None]) -> None:
        for report in run_fleet(self.devices, work, jobs=len(self.devices)):
            if report.error:
                raise report.error


@contextmanager
def bench(scratch: Path, devices: int = DEVICES) -> Iterator[Bench]:
    """Endpoints of their own and adb's server on a port of its own; all gone in the end. MissingToolError."""
    if not shutil.which("adb"):
        raise MissingToolError("adb: not compared, it is not here: apt-get install adb")
    keys = scratch / "adb_keys"
    keys.write_bytes(b"".join(line + b"\n" for line in public_keys(scratch / KEY)))
    words = [sys.executable, "-m", "lmkd_py.board.adbd", "--root", str(scratch / "devices"), "--end-with-stdin"]
    words += ["--auth", "never", "--keys", str(keys)]
    endpoints = subprocess.Popen(
        [*words, "--count", str(devices)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert endpoints.stdout is not None
    made = None
    try:
        addresses = [endpoints.stdout.readline().split()[1] for _ in range(devices)]
        made = Bench(scratch, addresses, free_port())
        made.connect()
        yield made
    finally:
        if made is not None:
            for device in made.devices:
                device.close()
            made.kill_server()
        endpoints.terminate()
        endpoints.communicate(timeout=60)


def measure(scratch: Path, rounds: int, devices: int = DEVICES) -> list[Transfer]:
    """Each pair `rounds` times in turns, after one that is not counted."""
    found = []
    with bench(scratch, devices) as ready:
        for pair in ready.pairs():
            transfer = Transfer(pair.label, [], [])
            for turn in range(rounds + 1):
                ours, theirs = _timed(pair.ours, turn), _timed(pair.adb, turn)
                if turn:
                    transfer.ours_s.append(ours)
                    transfer.adb_s.append(theirs)
            found.append(transfer)
    return found


def _timed(work: Callable[[int], object], turn: int) -> float:
    begin = time.perf_counter()
    work(turn)
    return time.perf_counter() - begin


def adb_version() -> str:
    """Version of the adb that lmkctl is compared with."""
    lines = subprocess.run(["adb", "version"], capture_output=True, text=True).stdout.splitlines()
    return next((line.partition(" ")[2] for line in lines if line.startswith("Version")), "unknown")
