"""What a board's process does with its memory; runs in a child of the application server, standard library only.

Every byte is written by user code, not populated by the kernel: only a user fault waits when a memory cgroup is
out of memory and kernel OOM killing is off; a populating system call would just come back short.
"""

from __future__ import annotations

import mmap
import os
import select
import time
from typing import NoReturn

MIB = 1 << 20
PAGE = mmap.PAGESIZE
_PATTERN = b"\x5a" * MIB


def _anonymous(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, max(size, PAGE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # Huge pages would charge in steps of 2 MiB.
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def _touch(memory: mmap.mmap, end: int) -> None:
    while memory.tell() < end:
        memory.write(_PATTERN[: min(MIB, end - memory.tell())])


def _sleep_forever() -> NoReturn:
    while True:
        select.select([], [], [])


def hold(size: int) -> NoReturn:
    """Allocate `size` bytes and sleep: an application in the background."""
    memory = _anonymous(size)
    _touch(memory, size)
    _sleep_forever()


def hog(bytes_per_s: int, limit: int) -> NoReturn:
    """Grow by bytes_per_s up to `limit` bytes, in steps of 1/20 s, then sleep."""
    memory = _anonymous(limit)
    start = time.monotonic()
    while memory.tell() < limit:
        # A step that waited for memory is not made up for: a hog that was held back goes on at its own pace.
        step = max(PAGE, bytes_per_s // 20)
        _touch(memory, min(limit, memory.tell() + step))
        now = time.monotonic()
        start = max(start + 0.05, now - 0.05)
        time.sleep(max(0.0, start - now))
    _sleep_forever()


def leave(size: int, after_ms: int) -> NoReturn:
    """Allocate `size` bytes and exit by itself after `after_ms`."""
    memory = _anonymous(size)
    _touch(memory, size)
    time.sleep(after_ms / 1000)
    os._exit(0)


def thrash(fd: int, seed: int) -> NoReturn:
    """Read random MiB of the file for ever, each of them three times over: its page cache is refaulted.

    Three times, because only pages that were on the active list count as stall when they come back. Measured in
    256 MiB with 170 of ballast and a file of 384, three readers: 26-49 % some, against 2-20 for single pages once.
    """
    pages = os.fstat(fd).st_size // PAGE
    # Its own open file: position and read-ahead are not shared with the other readers.
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    chunks = max(1, pages * PAGE // MIB)
    buffer = [bytearray(MIB)]
    state = seed
    while True:
        # Knuth's 64-bit linear congruential generator: importing random costs more memory than this process has.
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        offset = (state >> 33) % chunks * MIB
        for _ in range(3):
            os.preadv(own, buffer, offset)


def make_file(directory: str, size: int) -> int:
    """A fresh file of `size` bytes that has no name any more and nothing in the page cache. Returns its fd.

    Fresh because page cache charged to a former run's cgroup would hide the pressure; nameless so that it
    disappears with its last reader.
    """
    path = os.path.join(directory, f"lmkd-thrash-{os.getpid()}-{time.monotonic_ns()}")
    # Readable for all: a thrasher with an application's uid opens it again.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    os.unlink(path)
    chunk = os.urandom(MIB)
    for _ in range(-(-size // MIB)):
        os.write(fd, chunk)
    os.ftruncate(fd, size)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd


def run(kind: str, numbers: list[int]) -> NoReturn:
    """Do the work named `kind` (hold, hog, leave, thrash) with its numbers; ValueError for any other name."""
    if kind == "hold":
        hold(*numbers)
    if kind == "hog":
        hog(*numbers)
    if kind == "leave":
        leave(*numbers)
    if kind == "thrash":
        thrash(*numbers)
    raise ValueError(f"no work is called {kind}")
