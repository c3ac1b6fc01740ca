"""Files that a person names: read up to a limit whatever they are, written whole or not at all.

A name may stand for a directory, a FIFO nobody writes to, a device without an end, a symbolic link or a disk that is
full. Every way this fails is an OSError with the name and one line of reason.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time

PATIENCE_S = 5.0  # for somebody at the other end of a FIFO
PIECE_BYTES = 1 << 16


def read_bounded(path: str, limit: int, patience_s: float = PATIENCE_S) -> bytes:
    """All of it; OSError(EFBIG) beyond `limit` bytes, OSError(ETIMEDOUT) when nothing comes."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return _read(fd, path, limit, patience_s)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def _read(fd: int, path: str, limit: int, patience_s: float) -> bytes:
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_size > limit:
        raise _too_long(path, limit)
    is_fifo = stat.S_ISFIFO(found.st_mode)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    until = time.monotonic() + patience_s
    pieces, size = [], 0
    while size <= limit:
        try:
            data = os.read(fd, min(PIECE_BYTES, limit + 1 - size))
        except BlockingIOError:
            data = None
        if data:
            pieces.append(data)
            size += len(data)
            until = time.monotonic() + patience_s
            continue
        if data is not None and (pieces or not is_fifo):
            return b"".join(pieces)
        # A FIFO that nobody has opened for writing yet looks empty; poll() waits for its writer.
        events = poll.poll(max(0.0, until - time.monotonic()) * 1000)
        if not events:
            raise OSError(errno.ETIMEDOUT, f"nothing to read for {patience_s:g} s", path)
        if not events[0][1] & select.POLLIN:
            return b"".join(pieces)  # its writer came and went
    raise _too_long(path, limit)


def open_regular(path: str) -> int:
    """An fd to read a regular file by; OSError(EINVAL) for everything else, which is not waited for."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, "not a regular file" if code == errno.EINVAL else os.strerror(code), path)
    return fd


def _too_long(path: str, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"longer than {limit} bytes", path)


def write_whole(path: str, data: bytes, mode: int = -1, patience_s: float = PATIENCE_S) -> None:
    """Make the file hold `data`: a regular one by rename, with its mode and owner; what is none is written to.

    mode: of a regular file, whatever the umask and its mode before; -1 leaves it to them.

    Symbolic links are followed. A failure leaves the former file, and no other behind. OSError.
    """
    try:
        _write(path, data, mode, patience_s)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _write(path: str, data: bytes, mode: int, patience_s: float) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        _replace(os.path.realpath(path), data, None, mode)
        return
    if stat.S_ISREG(found.st_mode) and not _is_a_stream(found):
        if not os.access(path, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        _replace(os.path.realpath(path), data, found, mode)
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "nobody reads from it") from None
        raise
    try:
        _write_all(fd, data, patience_s)
    finally:
        os.close(fd)


def _is_a_stream(found: os.stat_result) -> bool:
    # /dev/stdout leads to the file that the shell has open: that file is written to, not replaced.
    for fd in (1, 2):
        try:
            if os.path.samestat(found, os.fstat(fd)):
                return True
        except OSError:
            continue
    return False


def _replace(path: str, data: bytes, former: os.stat_result | None, mode: int) -> None:
    new = os.path.join(os.path.dirname(path), f".lmkctl.{os.urandom(8).hex()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            _write_all(fd, data, PATIENCE_S)
            if former is not None:
                _like(fd, former)
            if mode >= 0:
                os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def _like(fd: int, former: os.stat_result) -> None:
    if (former.st_uid, former.st_gid) != (os.geteuid(), os.getegid()):
        try:
            os.fchown(fd, former.st_uid, former.st_gid)
        except PermissionError:
            pass  # it is ours from now on
    os.fchmod(fd, stat.S_IMODE(former.st_mode))


def _write_all(fd: int, data: bytes, patience_s: float) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            if not poll.poll(patience_s * 1000):
                raise OSError(errno.ETIMEDOUT, f"nobody read from it for {patience_s:g} s") from None
