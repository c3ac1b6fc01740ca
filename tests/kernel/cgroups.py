"""A limited v1 memory cgroup with its v2 twin, and processes that press on it. Always undone, also after a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from lmkd_py.core.config import DomainConfig, DomainKind, MonitorConfig
from lmkd_py.kernel.acting.syscalls import pidfd_open, pidfd_send_signal
from lmkd_py.kernel.sensing.mounts import cgroup_v2_root, memcg_v1_root
from tests.support import IS_ROOT, require, wait_until

LIMIT = 64 << 20

# Run inside the cgroup. They print one line when they have joined it.
_JOIN = "import os, sys, mmap, random, time\n[open(d + '/cgroup.procs', 'w').write('0') for d in sys.argv[1:3]]\n"
_SAY = "print('in', flush=True)\n"
HOG = _JOIN + _SAY + "kept = []\nwhile True:\n    kept.append(bytearray(b'x') * (1 << 20))\n    time.sleep(0.002)\n"
HOLD = _JOIN + "kept = bytearray(b'x') * (int(sys.argv[3]) << 20)\n" + _SAY + "time.sleep(600)\n"
THRASH = (
    _JOIN
    + _SAY
    + "fd = os.open(sys.argv[3], os.O_RDONLY)\nsize = os.fstat(fd).st_size\n"
    + "m = mmap.mmap(fd, size, prot=mmap.PROT_READ)\nm.madvise(mmap.MADV_RANDOM)\n"
    + "while True:\n    m[random.randrange(size)]\n"
)


class Pen:
    """`with Pen("name") as pen`: cgroups lmkd_c_<name>_<pid> under both hierarchies; skips where they cannot be had."""

    def __init__(self, name: str, limit: int = LIMIT, oom_kill_disable: bool = True) -> None:
        require(IS_ROOT, "needs root for a memory cgroup")
        v1, v2 = memcg_v1_root(), cgroup_v2_root()
        require(v1 and v2, "needs the v1 memory controller and a v2 hierarchy beside it")
        unique = f"lmkd_c_{name}_{os.getpid()}"
        self.directory = Path(v1) / unique
        self.twin = Path(v2) / unique
        self._limit = limit
        self._disable = oom_kill_disable
        self._children: list[subprocess.Popen[str]] = []

    @property
    def monitor(self) -> MonitorConfig:
        return MonitorConfig(domain=DomainConfig(DomainKind.MEMCG_V1, str(self.directory), str(self.twin)))

    def __enter__(self) -> Pen:
        self.directory.mkdir()
        self.twin.mkdir()
        (self.directory / "memory.limit_in_bytes").write_text(str(self._limit))
        if self._disable:
            (self.directory / "memory.oom_control").write_text("1")
        return self

    def start(self, program: str, *arguments: str, nested: str = "") -> subprocess.Popen[str]:
        """Run one of the programs above inside; returns when it has joined."""
        directory = self.directory / nested
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program, str(directory), str(self.twin), *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "in\n"
        return child

    def stop(self, child: subprocess.Popen[str]) -> None:
        """End one of them by its pidfd and wait until it is gone."""
        if child.poll() is None:
            pidfd = pidfd_open(child.pid)
            pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()

    def oom_kills(self) -> int:
        for line in (self.directory / "memory.oom_control").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            self.stop(child)
        (self.directory / "memory.oom_control").write_text("0")
        for directory in (*(path for path in self.directory.iterdir() if path.is_dir()), self.directory, self.twin):
            wait_until(f"{directory} is removed", lambda: removed(directory))  # noqa: B023


def removed(directory: Path) -> bool:
    """Remove it, unless a test has; a dead member leaves a moment after it was reaped, and until then it stays."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def fresh_file(directory: Path, megabytes: int) -> Path:
    """A file of random bytes on disk, none of it in the page cache of anybody."""
    path = directory / "cold"
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path
