"""How every file of a state root is read: a small regular file that nobody but root or we ourselves can have written.

Whatever else lies under its name (a FIFO, a device, a symbolic link, somebody else's file) is refused in words, before
it is opened for reading: none can keep the reader waiting, lead it elsewhere or fill its memory.
"""

from __future__ import annotations

import os
import stat
from errno import EFBIG, EINVAL, ELOOP, EPERM

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_state_file(path: str, most_bytes: int) -> bytes:
    """The whole file. FileNotFoundError where there is none; OSError says in its strerror what was found and wanted."""
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        refuse_unsafe(os.fstat(place), path)
        # The very same file: its name may stand for another by now.
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(place)
    try:
        parts, left = [], most_bytes + 1
        while left > 0:
            part = os.read(fd, left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
    finally:
        os.close(fd)
    if left <= 0:
        raise OSError(EFBIG, f"found more than {most_bytes} bytes, wanted at most that many", path)
    return b"".join(parts)


def refuse_unsafe(about: os.stat_result, path: str) -> None:
    """OSError unless `about` is of a regular file of root's or our own that nobody else may write to."""
    kind = stat.S_IFMT(about.st_mode)
    if kind != stat.S_IFREG:
        found = _KINDS.get(kind, "something else")
        raise OSError(ELOOP if kind == stat.S_IFLNK else EINVAL, f"found {found}, wanted a regular file", path)
    own = os.geteuid()
    if about.st_uid not in (0, own):
        wanted = f"root's or user {own}'s" if own else "root's"
        raise OSError(EPERM, f"found a file of user {about.st_uid}, wanted {wanted}; chown {own} {path}", path)
    if about.st_mode & 0o022:
        mode = stat.S_IMODE(about.st_mode)
        raise OSError(EPERM, f"others may write to it (mode {mode:04o}); chmod go-w {path}", path)
