"""Who is in the group: victims that sleep, and readers of a file that does not fit, so that everybody reclaims."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time

from ...kernel.acting.syscalls import PR_SET_PDEATHSIG, pidfd_open, pidfd_send_signal, prctl
from ...kernel.sensing.mounts import file_system_of
from .group import Group

PAGE = mmap.PAGESIZE
MIB = 1 << 20
IN_MEMORY = ("tmpfs", "ramfs", "rootfs", "devtmpfs", "")
SPARE_MIB = 16  # beside our file on the disk
PLACES = ("/data/local/tmp", "/data", "/var/tmp", "/var/lib", "/tmp", ".")


class NoDisk(Exception):
    """No directory whose files can be dropped from memory and read again."""


def disk_directory(need_mib: int) -> str:
    """A writable directory on a disk with that much room."""
    for path in (os.environ.get("TMPDIR", ""), *PLACES):
        if path and os.access(path, os.W_OK) and file_system_of(path) not in IN_MEMORY:
            room = os.statvfs(path)
            if room.f_bavail * room.f_frsize >= need_mib * MIB:
                return os.path.realpath(path)
    raise NoDisk(f"none of {', '.join(PLACES)} is on a disk with {need_mib} MiB free; set TMPDIR to one that is")


def make_file(directory: str, mib: int) -> int:
    """A nameless file, on the disk and not in memory; its descriptor."""
    path = os.path.join(directory, f"lmkd-selftest-{os.getpid()}-{time.monotonic_ns()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    chunk = os.urandom(MIB)
    for _ in range(mib):
        os.write(fd, chunk)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd


class LoadProcess:
    """A child process in the group, with its pidfd."""

    def __init__(self, pid: int, adj: int) -> None:
        self.pid = pid
        self.adj = adj
        self.pidfd = pidfd_open(pid)
        self.died_ns = 0

    def look(self) -> bool:
        """True while it lives; collects it once it does not."""
        if not self.died_ns:
            pid, _ = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.died_ns = time.monotonic_ns()
        return not self.died_ns

    def end(self) -> None:
        """Kill and reap it."""
        if self.look():
            pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.died_ns = time.monotonic_ns()
        os.close(self.pidfd)


class Load:
    """All processes of the test. close() ends them."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.victims: list[LoadProcess] = []
        self.readers: list[LoadProcess] = []
        self._file = -1

    def add_victim(self, adj: int, mib: float) -> LoadProcess:
        """One more with that oom_score_adj, once it is there."""
        made = self._fork(adj, lambda ready: _hold(int(mib * MIB), ready))
        self.victims.append(made)
        return made

    def start_readers(self, count: int, file_mib: int, adj: int = 0) -> list[LoadProcess]:
        """Start processes that read one fresh file at random."""
        if self._file < 0:
            self._file = make_file(disk_directory(file_mib + SPARE_MIB), file_mib)
        fd = self._file
        made = [self._fork(adj, lambda ready, seed=seed: _read(fd, seed, ready)) for seed in range(1, count + 1)]
        self.readers += made
        return made

    def _fork(self, adj: int, work: object) -> LoadProcess:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(ours)
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                # Not below what we have ourselves: that takes rights which a root need not have.
                if adj > 0:
                    with open("/proc/self/oom_score_adj", "w") as file:
                        file.write(str(adj))
                self.group.join()
                work(theirs)  # type: ignore[operator]
            except BaseException as error:
                print(f"a process of the test ended: {error}", file=sys.stderr)
            finally:
                os._exit(1)
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)
        return LoadProcess(pid, adj)

    def living(self) -> int:
        """How many victims are alive."""
        return sum([victim.look() for victim in self.victims])

    def stop_readers(self) -> None:
        """Kill and reap the readers, and with them the pressure."""
        for reader in self.readers:
            reader.end()
        self.readers.clear()

    def close(self) -> None:
        """Kill and reap readers and victims."""
        self.stop_readers()
        for victim in self.victims:
            victim.end()
        self.victims.clear()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _hold(size: int, ready: int) -> None:
    memory = mmap.mmap(-1, max(size, PAGE))
    for offset in range(0, size, PAGE):
        memory[offset] = 1
    os.write(ready, b"1")
    os.close(ready)
    while True:
        time.sleep(1000)


def _read(fd: int, seed: int, ready: int) -> None:
    # Each place three times over: only pages that were on the active list count as stall when they come back.
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    chunks = os.fstat(fd).st_size // MIB
    buffer = [bytearray(MIB)]
    os.write(ready, b"1")
    os.close(ready)
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF  # Knuth's LCG
        for _ in range(3):
            os.preadv(own, buffer, (state >> 33) % chunks * MIB)
