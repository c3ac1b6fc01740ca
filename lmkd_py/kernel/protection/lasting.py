"""Memory with a name: it outlives the processes that share it, so that what it holds can be read after both have died.

A file on a tmpfs is what a memfd is, and can be found again. Its name begins with the device and inode number of the
state root, as the pins in the kernel do. Where there is no tmpfs to write to it is a memfd, which ends with its users.
"""

from __future__ import annotations

import ctypes
import os
import stat
from errno import EEXIST

from ..acting.libc import function
from ..acting.syscalls import memfd_create

PLACES = ("/dev/shm", "/run", "/dev")  # Linux has the first, Android the last
NAME = "lmkd_py"
_TMPFS_MAGIC = 0x01021994
_STATFS_BYTES = 256  # more than any struct statfs; its first word is the type
_statfs = function("statfs", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def make_lasting(root: str, size: int) -> tuple[int, str]:
    """(descriptor, path) of `size` zero bytes, all of them there from the start; path "": a memfd. OSError."""
    prefix = _prefix(root)
    for place in PLACES:
        if not _is_tmpfs(place):
            continue
        for number in range(100):
            path = f"{place}/{prefix}{os.getpid()}-{number}"
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except OSError as error:
                if error.errno == EEXIST:
                    continue
                break
            try:
                os.posix_fallocate(fd, 0, size)  # a page that is missing later would be a SIGBUS
            except OSError:
                os.close(fd)
                os.unlink(path)
                break
            return fd, path
    fd = memfd_create(NAME)
    try:
        os.ftruncate(fd, size)
    except BaseException:
        os.close(fd)
        raise
    return fd, ""


def is_shared_memory(link: str) -> bool:
    """Whether /proc/PID/fd/N, read as a link, is memory that make_lasting() may have made."""
    name = os.path.basename(link)
    return name.startswith((f"memfd:{NAME}", f"{NAME}-"))


def find_lasting(root: str) -> list[str]:
    """Paths of all that daemons of this root have made and not removed, whether or not they live."""
    prefix = _prefix(root)
    found = []
    for place in PLACES:
        try:
            names = os.listdir(place) if _is_tmpfs(place) else []
        except OSError:
            continue
        found += [os.path.join(place, name) for name in sorted(names) if name.startswith(prefix)]
    return found


def open_lasting(path: str) -> int:
    """A descriptor of what find_lasting() found; OSError unless it is a regular file of our own and nobody else's."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(fd)
    if (
        stat.S_ISREG(about.st_mode)
        and about.st_uid == os.geteuid()
        and about.st_nlink == 1
        and not about.st_mode & 0o77
    ):
        return fd
    os.close(fd)
    raise OSError(f"{path}: found a file of uid {about.st_uid}, mode {about.st_mode:o}, wanted a private one of ours")


def forget_lasting(root: str) -> None:
    """Remove all of this root's. OSError where the root is not there."""
    for path in find_lasting(root):
        try:
            os.close(open_lasting(path))
            os.unlink(path)
        except OSError:
            pass


def _prefix(root: str) -> str:
    found = os.stat(root)
    return f"{NAME}-{found.st_dev:x}-{found.st_ino:x}-"


def _is_tmpfs(place: str) -> bool:
    about = ctypes.create_string_buffer(_STATFS_BYTES)
    if _statfs(os.fsencode(place), about) < 0:
        return False
    return int.from_bytes(about.raw[:4], "little") == _TMPFS_MAGIC
