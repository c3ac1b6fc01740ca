"""A kernel text file opened once and read in place for ever."""

from __future__ import annotations


class PinnedFile:
    """Opened read-only and close-on-exec; read with preadv into a buffer that never grows after the constructor.

    The text lies in `buf[1:end]`; `buf[0]` is a newline, so every line begins with one. OSError naming the path if it
    cannot be opened or read at start; later read() returns a negative errno.
    """

    __slots__ = ("buf", "end", "fd", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        self.buf = bytearray()
        self.end = 0

    def read(self) -> int:
        """Fresh contents; number of bytes, or a negative errno (then `end` is 1: no text)."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the descriptor; may be called twice."""
        raise NotImplementedError
