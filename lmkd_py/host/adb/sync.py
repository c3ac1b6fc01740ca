"""adbd's file service: many files over one stream, requests sent ahead of their answers.

Sync v1 only, as every adbd has it; sizes and hashes of what counts are asked for by shell.
"""

from __future__ import annotations

import itertools
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .link import LinkError, ProtocolError, Stream

HEAD = struct.Struct("<4sI")
STAT = struct.Struct("<4s3I")
CHUNK = 64 << 10  # most an adbd takes in one DATA
PACKED = 1 << 20  # bytes handed to the stream at once
MAX_PATH = 1024
MAX_REASON = 4096
AHEAD = 64  # requests on the way without an answer

Reader = Callable[[int], bytes]


class SyncRefused(Exception):
    """The device refused the transfer; the text is its reason."""


class Stat(NamedTuple):
    """Mode, bytes (of files below 4 GiB) and mtime; all 0 when there is no such file or no right to see it."""

    mode: int
    size: int
    mtime: int


class Sending(NamedTuple):
    """A file to send: where to, its mode, and how to read it."""

    path: str
    mode: int
    read: Reader
    mtime: int = 0


class SyncSession:
    """File transfers over one `sync:` stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._in = bytearray()
        self._out = bytearray()

    def push(self, files: Iterable[Sending]) -> int:
        """Send files; bytes sent. SyncRefused names the first that the device did not take."""
        total = 0
        waiting: deque[str] = deque()  # for their answer, in the order of the requests
        for file in files:
            self._put(b"SEND", f"{file.path},{file.mode}".encode())
            while data := file.read(CHUNK):
                total += len(data)
                self._put(b"DATA", data)
                while self._stream_speaks():  # of files before, or an early FAIL: the rest would be thrown away
                    self._expect_okay(waiting.popleft() if waiting else file.path)
            self._out += HEAD.pack(b"DONE", file.mtime)
            waiting.append(file.path)
            while len(waiting) >= AHEAD or (waiting and self._stream_speaks()):
                self._flush()
                self._expect_okay(waiting.popleft())
        self._flush()
        while waiting:
            self._expect_okay(waiting.popleft())
        return total

    def pull(self, paths: Iterable[str], sink: Callable[[str, bytes], object], limit: int) -> None:
        """Fetch files; `sink` gets each piece with its path. SyncRefused; ProtocolError beyond `limit` bytes a file."""
        rest: Iterator[str] = iter(paths)
        ahead: deque[str] = deque()
        while True:
            if len(ahead) <= AHEAD // 2:  # many requests in one message
                for path in itertools.islice(rest, AHEAD - len(ahead)):
                    self._put(b"RECV", path.encode())
                    ahead.append(path)
                self._flush()
            if not ahead:
                return
            self._receive(ahead.popleft(), sink, limit)

    def stat(self, path: str) -> Stat:
        """Mode, size and mtime of a path, as sync v1 gives them."""
        self._put(b"STAT", path.encode())
        self._flush()
        self._fill(STAT.size)
        word, mode, size, mtime = STAT.unpack(self._take(STAT.size))
        if word != b"STAT":
            raise ProtocolError(f"{word!r} for STAT")
        return Stat(mode, size, mtime)

    def quit(self) -> None:
        """Tell the device that the session ends."""
        self._out += HEAD.pack(b"QUIT", 0)
        try:
            self._flush()
        except LinkError:
            pass
        self._stream.close()

    def _receive(self, path: str, sink: Callable[[str, bytes], object], limit: int) -> None:
        total = 0
        while True:
            word, length = self._head()
            if word == b"DONE":
                return
            if word == b"FAIL":
                raise SyncRefused(f"{path}: {self._reason(length)}")
            if word != b"DATA" or length > CHUNK:
                raise ProtocolError(f"{word!r} of {length} bytes for RECV")
            total += length
            if total > limit:
                raise ProtocolError(f"{path}: more than the {limit} bytes that were asked for")
            self._fill(length)
            sink(path, self._take(length))

    def _expect_okay(self, path: str) -> None:
        word, length = self._head()
        if word == b"FAIL":
            raise SyncRefused(f"{path}: {self._reason(length)}")
        if word != b"OKAY":
            raise ProtocolError(f"{word!r} for SEND")

    def _reason(self, length: int) -> str:
        if length > MAX_REASON:
            raise ProtocolError(f"a reason of {length} bytes")
        self._fill(length)
        return self._take(length).decode("utf-8", "replace")

    def _head(self) -> tuple[bytes, int]:
        self._fill(HEAD.size)
        word, length = HEAD.unpack(self._take(HEAD.size))
        return word, length

    def _fill(self, count: int) -> None:
        while len(self._in) < count:
            data = self._stream.recv()
            if not data:
                raise LinkError("the file service hung up")
            self._in += data

    def _take(self, count: int) -> bytes:
        data = bytes(self._in[:count])
        del self._in[:count]
        return data

    def _put(self, word: bytes, body: bytes) -> None:
        if word != b"DATA" and len(body) > MAX_PATH:
            raise SyncRefused(f"a path of {len(body)} bytes, adbd takes {MAX_PATH}")
        self._out += HEAD.pack(word, len(body))
        self._out += body
        if len(self._out) >= PACKED - CHUNK - HEAD.size:
            self._flush()

    def _flush(self) -> None:
        if not self._out:
            return
        data, self._out = self._out, bytearray()
        try:
            self._stream.send(bytes(data))
        except LinkError:
            # It hung up: perhaps it said why before.
            if self._in or self._stream.pending():
                word, length = self._head()
                if word == b"FAIL":
                    raise SyncRefused(self._reason(length)) from None
            raise

    def _stream_speaks(self) -> bool:
        return bool(self._in) or self._stream.pending()
