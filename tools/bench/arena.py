"""A memory cgroup with many small processes in it and programs that thrash it: where killers are compared."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from types import TracebackType

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.board.scratch import disk_directory
from tools.bench.crowd import Crowd
from tools.bench.programs import build

MIB = 1 << 20


class Arena:
    """The sandbox board of this machine with the bench's own crowd and thrashers in it (C: they cost next to nothing).

    Everything ends with it; the board's guardian clears up even when this process is killed.
    """

    def __init__(self, limit_mib: int = 256, count: int = 50, kib: int = 512) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="lmkd-bench-", dir=disk_directory(limit_mib * 3))
        self.directory = self._temporary.name
        self._thrashers: list[subprocess.Popen[bytes]] = []
        self.limit_mib = limit_mib
        self.board = Sandbox(limit_mib=limit_mib)
        # The memory cgroup last: in a full one even joining another can fail.
        self.groups = self.board.place.places[::-1]
        self.crowd = Crowd(self.program("crowd"), self.groups, count, kib, 900, 999)
        try:
            self.crowd.wait_complete()
        except BaseException:
            self.close()
            raise

    def program(self, name: str) -> str:
        return build(name, self.directory)

    def fresh_file(self) -> str:
        """A file of 1.6 times the limit, on disk and not in the page cache.

        Page cache that belongs to a former run's cgroup would hide the pressure, hence a new one for each run.
        """
        path = os.path.join(self.directory, f"pages-{time.monotonic_ns()}")
        block = os.urandom(MIB)
        with open(path, "wb", buffering=0) as stream:
            for number in range(self.limit_mib * 8 // 5):
                stream.write(number.to_bytes(8, "little") + block[8:])
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return path

    def start_thrashers(self, count: int = 2, path: str = "") -> None:
        """Random readers of a mapped file begin to work inside the cgroup."""
        path = path or self.fresh_file()
        for seed in range(count):
            command = [self.program("thrash"), path, str(seed + 1), *self.groups]
            self._thrashers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))

    def stop_thrashers(self) -> None:
        for thrasher in self._thrashers:
            thrasher.kill()
            thrasher.wait()
        self._thrashers.clear()

    def thrasher_pids(self) -> list[int]:
        return [thrasher.pid for thrasher in self._thrashers]

    def pump(self, seconds: float) -> None:
        """Lets time go by while the news of the crowd is passed on."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.crowd.pump(min(left, 0.1))

    def close(self) -> None:
        self.stop_thrashers()
        self.crowd.close()
        self.board.close()
        self._temporary.cleanup()

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
