"""A kernel text file opened once and read in place for ever."""

from __future__ import annotations

import errno
import os

# There may be memory or descriptors a moment later: then all is opened anew, instead of going without for ever.
PASSING = (errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.EINTR)


class PinnedFile:
    """Opened read-only and close-on-exec; read with preadv into a buffer that never grows after the constructor.

    The text lies in `buf[1:end]`; `buf[0]` is a newline, so every line begins with one and a key is found as
    b"\\nkey ". The first reads happen here: they make the kernel allocate the file's buffer and tell us how large ours
    has to be (half as much again as room to grow). OSError naming the path if it cannot be opened or read now;
    later read() answers with a negative errno.
    """

    __slots__ = ("_room", "_whole", "buf", "end", "fd", "path")

    def __init__(self, path: str, size: int = 0, whole: int = 0) -> None:
        """`size`: least room for text in bytes. `whole` 1: read() goes on until the end of the file.

        One preadv returns a whole file, except where the kernel's seq_file walks records (vmstat, zoneinfo): there it
        may stop at a page. Files whose last lines matter are opened with `whole`; it costs one more system call.
        """
        self.path = path
        self._whole = whole
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.end = 1
        try:
            text = os.pread(self.fd, 65536, 0)
            length = len(text)
            while text:
                text = os.pread(self.fd, 65536, length)
                length += len(text)
        except OSError as failure:
            os.close(self.fd)
            self.fd = -1
            raise OSError(failure.errno, f"read {path}: {failure.strerror}") from None
        self.buf = bytearray(max(size, length + length // 2, 255) + 1)
        self.buf[0] = 10
        self._room = (memoryview(self.buf)[1:],)
        self.read()

    def read(self) -> int:
        """Fresh contents in buf[1:end]; bytes read, or a negative errno (then end is 1: no text)."""
        try:
            got = os.preadv(self.fd, self._room, 0)
        except OSError as failure:
            self.end = 1
            return -(failure.errno or 5)
        self.end = got + 1
        if self._whole:
            while self.more() > 0:
                pass
        return self.end - 1

    def more(self) -> int:
        """The next part of a file that one preadv did not return whole; bytes added, 0 at its end or a full buffer."""
        end = self.end
        room = self._room[0][end - 1 :]
        if not room:
            return 0
        try:
            got = os.preadv(self.fd, (room,), end - 1)
        except OSError:
            return 0
        self.end = end + got
        return got

    def parts(self) -> tuple[int, tuple[memoryview], bytearray]:
        """(fd, buffers for preadv, buf) for readers that do without this class where every call counts."""
        return self.fd, self._room, self.buf

    def line_of(self, offset: int) -> int:
        """Line number (from 1) of a position in buf; for messages."""
        return self.buf.count(b"\n", 1, max(offset, 1)) + 1

    def beginning(self) -> bytes:
        """Up to 40 bytes of the text; for messages."""
        return bytes(self.buf[1 : min(self.end, 41)])

    def close(self) -> None:
        """Close the descriptor; may be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
