"""What the module grants, to whom, and when it takes it back: `python3 -m tests.board.onboard.window`.

Says a line `NAME VALUE` for each question; the test knows the answers. Whether a thread carries the flag is read from
field 9 of its stat file: the kernel's own word.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
import time
from collections.abc import Callable

from lmkd_py.kernel.acting.syscalls import gettid
from lmkd_py.kernel.protection.memalloc import CLEAR, DEVICE, SET, MemallocWindow, open_window

PF_MEMALLOC = 0x800
LIMIT = "/sys/module/lmkd_memalloc/parameters/max_window_ms"
LIBC = ctypes.CDLL(None, use_errno=True)


def flag(pid: int | str = "self", tid: int | None = None) -> int:
    """1 if the thread has PF_MEMALLOC set."""
    place = f"/proc/{pid}/task/{tid}/stat" if tid else f"/proc/{pid}/stat"
    with open(place) as file:
        return 1 if int(file.read().rpartition(")")[2].split()[6]) & PF_MEMALLOC else 0


def ioctl(fd: int, request: int) -> int:
    """The result of an ioctl, or a negative errno."""
    result = LIBC.ioctl(fd, ctypes.c_ulong(request), ctypes.c_ulong(0))
    return -ctypes.get_errno() if result < 0 else result


def say(name: str, *values: object) -> None:
    print(name, *values, flush=True)


def set_limit(ms: str) -> None:
    """Set how long a window may stay open, in ms."""
    with open(LIMIT, "w") as file:
        file.write(ms)


def in_child(work: Callable[[], int]) -> int:
    """work()'s small result, by a forked child."""
    pid = os.fork()
    if not pid:
        os._exit(work() & 0xFF)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_thread(work: Callable[[], object]) -> object:
    """The result of `work` in another thread."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def drop_capability() -> None:
    """CAP_SYS_RESOURCE (bit 24) out of the calling thread's effective set; it stays root."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    assert LIBC.capget(header, data) == 0
    data[0] &= ~(1 << 24)
    assert LIBC.capset(header, data) == 0


def asked() -> None:
    """Who may set and clear the flag."""
    window = open_window()
    say("closed", flag())
    say("set", window.begin(), flag())
    say("again", window.begin(), flag())
    say("cleared", window.end(), flag())
    say("cleared_again", window.end(), flag())
    say("nonsense", ioctl(window.fd, 0xA909) == -errno.ENOTTY)

    def without() -> int:
        drop_capability()
        return ioctl(window.fd, SET) == -errno.EPERM and flag() == 0 and ioctl(window.fd, CLEAR) == 0

    say("without_capability", in_child(without))

    def as_user() -> int:
        os.setuid(1000)
        refused = ioctl(window.fd, SET) == -errno.EPERM
        try:
            os.open(DEVICE, os.O_RDWR)
        except PermissionError:
            return refused
        return 0

    say("as_user", in_child(as_user))
    window.close()


def alone() -> None:
    """One thread a file, and its flag is nobody else's."""
    window = open_window()
    window.begin()
    say("other_thread", in_thread(lambda: flag(tid=gettid())), flag())
    say("other_threads_set", in_thread(lambda: ioctl(window.fd, SET) == -errno.EBUSY), flag())
    say("other_threads_clear", in_thread(lambda: ioctl(window.fd, CLEAR)), flag())
    second = os.open(DEVICE, os.O_RDWR)
    say("second_file", ioctl(second, SET) == -errno.EBUSY, flag())
    os.close(second)
    say("second_closed", flag())
    window.close()
    say("closed_by_owner", flag())

    def leave_open() -> int:
        return ioctl(left.fd, SET)

    left = MemallocWindow(os.open(DEVICE, os.O_RDWR))
    first = in_thread(leave_open)
    while (second_set := ioctl(left.fd, SET)) == -errno.EBUSY:
        time.sleep(0.01)  # Python's thread is gone a moment before the kernel's
    say("thread_that_ended", first, second_set, flag())
    left.close()

    window = open_window()
    window.begin()
    in_thread(window.close)
    say("closed_by_another", flag())  # by the time that this thread is back from any call


def inherited() -> None:
    """Whether children, threads and new programs get the flag."""
    window = open_window()
    window.begin()
    say("fork", in_child(flag), flag())
    say("fork_of_fork", in_child(lambda: in_child(flag)), flag())
    say("clone_thread", in_thread(lambda: flag(tid=gettid())), flag())
    see = "import sys; sys.exit(int(open('/proc/self/stat').read().rpartition(')')[2].split()[6]) >> 11 & 1)"
    program = [sys.executable, "-S", "-c", see]
    pid = os.posix_spawn(sys.executable, program, dict(os.environ))
    say("spawn", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flag())

    def closes() -> int:
        os.close(window.fd)
        return 0

    say("child_closes", in_child(closes), flag())

    def execs() -> int:
        mine = MemallocWindow(os.open(DEVICE, os.O_RDWR))
        os.set_inheritable(mine.fd, True)
        if mine.begin() == 0 and flag():
            os.execv(sys.executable, program)
        return 9

    say("exec", in_child(execs), flag())
    say("still", window.end(), flag())
    window.close()


def limited() -> None:
    """What happens when a window stays open for too long."""
    set_limit("50")
    window = open_window()
    window.begin()
    while flag():  # ends where the kernel lets modules have task work; else the next call would
        time.sleep(0.01)
    say("limit", flag(), window.begin() == -errno.ETIME, window.begin(), flag())
    set_limit("0")
    window.end()
    window.begin()
    time.sleep(0.3)
    say("no_limit", flag(), window.end())
    window.close()


def main() -> None:
    """All of them; on an emulated board some take longer than a window may by default."""
    with open(LIMIT) as file:
        default = file.read().strip()
    say("default_limit_ms", default)
    set_limit("0")
    asked()
    alone()
    inherited()
    limited()
    set_limit(default)


if __name__ == "__main__":
    main()
