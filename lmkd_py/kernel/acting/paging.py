"""Paging out memory of another process: which of its mappings, and the system call. Steward only: all of it allocates.

Reclaim does the same with the pages that have not been used for longest, but not before memory is short, and then tasks
wait for it.
"""

from __future__ import annotations

import ctypes
import errno
import os

from .libc import oserror, raw_syscall
from .numbers import NR

MADV_PAGEOUT = 21  # Linux 5.4; of another process 5.10
ADDRESS_END = 1 << 8 * ctypes.sizeof(ctypes.c_void_p)  # a 32-bit Python cannot name what lies above
CHUNK_BYTES = 4096  # the kernel hands out about so much of maps at a time

RANGES_MAX = 512  # of a call; the kernel takes 1024 (UIO_MAXIOV)
# Of the process nothing more can be advised; by some of them of none.
HOPELESS = (errno.ESRCH, errno.EBADF, errno.EPERM, errno.EACCES, errno.ENOSYS)

_process_madvise = raw_syscall(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint)


def process_madvise(pidfd: int, ranges: list[tuple[int, int]], advice: int) -> int:
    """Advise address ranges of the process of `pidfd`, in order; how many bytes were, in whole ranges.

    Fewer than asked for: the range behind them was refused. OSError when the first was: EINVAL (locked or special
    memory), ENOMEM (partly unmapped; the rest of it was advised), or nothing ever will be: EPERM (no CAP_SYS_NICE),
    EACCES (no ptrace access), ESRCH (it is gone), ENOSYS (before Linux 5.10).
    """
    flat = [number for start, stop in ranges for number in (start, stop - start)]
    vector = (ctypes.c_size_t * len(flat))(*flat)
    done: int = _process_madvise(NR.process_madvise, pidfd, vector, len(ranges), advice, 0)
    if done < 0:
        raise oserror("process_madvise", f"advice {advice}")
    return done


def pageable(line: bytes) -> tuple[int, int] | None:
    """Of a line of /proc/PID/maps the addresses, if it is private anonymous memory that can be written, or the heap.

    Pages of files and shared memory may be somebody else's, too. A stack is small and the first to be used again.
    """
    words = line.split(None, 5)
    if len(words) < 5 or len(words[1]) != 4 or not words[1].startswith(b"rw") or words[1][3:] != b"p":
        return None
    name = words[5].strip() if len(words) > 5 else b""
    if words[4] != b"0" or not (not name or name == b"[heap]" or name.startswith(b"[anon:")):
        return None
    first, _, last = words[0].partition(b"-")
    try:
        start, stop = int(first, 16), int(last, 16)
    except ValueError:
        return None
    return (start, stop) if 0 <= start < stop <= ADDRESS_END else None


class Mappings:
    """What can be paged out of a process, a few mappings at a time. OSError: it is gone, or nobody may look."""

    def __init__(self, pid: int, root: str = "/") -> None:
        path = os.path.join(root, "proc", str(pid), "maps")
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._rest = b""

    def next(self) -> list[tuple[int, int]] | None:
        """The next ranges; none may be among those looked at. None: there are no more. OSError."""
        data = os.read(self._fd, CHUNK_BYTES) if self._fd >= 0 else b""
        if not data and not self._rest:
            self.close()
            return None
        *lines, self._rest = (self._rest + data).split(b"\n") if data else [self._rest, b""]
        found = (pageable(line) for line in lines)
        return [each for each in found if each is not None]

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Advised:
    """Pages out `ranges` of a process, in calls of at most `call_bytes`; whole pages. What is refused is left out.

    `bytes`: how many were advised; not all of them need to be resident.
    """

    def __init__(self, pidfd: int, call_bytes: int) -> None:
        self.pidfd = pidfd
        self.call_bytes = call_bytes
        self.ranges: list[tuple[int, int]] = []
        self.bytes = 0

    def advance(self) -> None:
        """One system call. OSError: nothing more of this process can be paged out, see HOPELESS."""
        batch = first_of(self.ranges, self.call_bytes)
        done = 0
        try:
            done = process_madvise(self.pidfd, batch, MADV_PAGEOUT)
        except OSError as error:
            if error.errno in HOPELESS:
                raise
        self.bytes += done
        self.ranges = rest_of(self.ranges, done, done < size_of(batch))


def size_of(ranges: list[tuple[int, int]]) -> int:
    """Bytes of all of them."""
    return sum(stop - start for start, stop in ranges)


def first_of(ranges: list[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """The first `limit` bytes, and of no more ranges than one call takes."""
    found: list[tuple[int, int]] = []
    for start, stop in ranges[:RANGES_MAX]:
        if limit <= 0:
            break
        found.append((start, min(stop, start + limit)))
        limit -= stop - start
    return found


def rest_of(ranges: list[tuple[int, int]], done: int, refused: bool) -> list[tuple[int, int]]:
    """Without the first `done` bytes; `refused`: nor what is left of the range behind them.

    One range is one mapping, and what is refused of it (it is locked, or gone) would be refused again.
    """
    left = []
    for start, stop in ranges:
        taken = min(done, stop - start)
        done -= taken
        if start + taken == stop:
            continue
        if refused and not done:
            refused = False
            continue
        left.append((start + taken, stop))
    return left
