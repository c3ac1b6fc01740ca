"""Commands over a stream, with their true exit status: the shell_v2 protocol, or a wrapper where adbd has none."""

from __future__ import annotations

import base64
import binascii
import secrets
import shlex
import struct
from collections.abc import Callable
from typing import NamedTuple

from .link import LinkError, ProtocolError, Stream

HEAD = struct.Struct("<BI")
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
MAX_OUTPUT = 16 << 20  # of one command, both streams; more is not kept
LEGACY_DIRECTORIES = "/data/local/tmp /tmp /var/tmp"

# Both streams go through files and come back as base64: a legacy shell merges the streams and rewrites line ends.
# $1 the command, $2 the nonce. Only whole lines `<nonce>:...` are ours, and base64 has no colon.
_WRAPPER = f"""for d in {LEGACY_DIRECTORIES}; do t=$d/.lmkctl.$2; mkdir -m 700 "$t" 2>/dev/null && break; t=; done
[ "$t" ] || {{ echo "$2:none"; exit; }}
sh -c "$1" >"$t/o" 2>"$t/e" </dev/null; r=$?
echo; echo "$2:out"; base64 "$t/o"; echo "$2:err"; base64 "$t/e"; echo "$2:$r"; rm -r "$t" """


class OutputTooLong(Exception):
    """A command printed more than anybody asked for."""


class Result(NamedTuple):
    """How a command ended: exit status (128 + signal when it was killed) and what it printed."""

    rc: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output as text, stripped."""
        return self.out.decode("utf-8", "replace").strip()

    @property
    def complaint(self) -> str:
        """Standard error, or what there is instead."""
        return (self.err or self.out).decode("utf-8", "replace").strip()


def command_line(command: str | tuple[str, ...] | list[str]) -> str:
    """What a shell runs: a script as it is, words quoted. ValueError for a NUL, which no command line can hold."""
    line = command if isinstance(command, str) else shlex.join(command)
    if "\0" in line:
        raise ValueError("a command line cannot hold a NUL")
    return line


def v2_service(line: str) -> str:
    """Raw: no pty, so that the output comes through unchanged."""
    return f"shell,v2,raw:{line}"


def run_v2(stream: Stream, sink: Callable[[int, bytes], None]) -> int:
    """End standard input, give every piece of output to `sink` with STDOUT or STDERR; the exit status.

    LinkError when the stream ends without one: the command may have been cut off.
    """
    stream.send(HEAD.pack(CLOSE_STDIN, 0))
    buffer = b""
    kind = left = 0
    while True:
        if left:
            if not buffer:
                buffer = _more(stream)
            part, buffer = buffer[:left], buffer[left:]
            left -= len(part)
            if kind == EXIT:
                return part[0]
            if kind in (STDOUT, STDERR):
                sink(kind, part)
            continue
        while len(buffer) < HEAD.size:
            buffer += _more(stream)
        kind, left = HEAD.unpack_from(buffer)
        buffer = buffer[HEAD.size :]
        if kind == EXIT and left != 1:
            raise ProtocolError(f"an exit status of {left} bytes")
        if kind > EXIT + 2:
            raise ProtocolError(f"shell packet {kind}")


def _more(stream: Stream) -> bytes:
    data = stream.recv()
    if not data:
        raise LinkError("the command was cut off before its exit status came")
    return data


class Collector:
    """A sink that keeps both streams, up to a limit."""

    def __init__(self, limit: int = MAX_OUTPUT) -> None:
        self.limit = limit
        self.out = bytearray()
        self.err = bytearray()

    def __call__(self, kind: int, data: bytes) -> None:
        """Keep a piece; OutputTooLong beyond the limit."""
        if len(self.out) + len(self.err) + len(data) > self.limit:
            raise OutputTooLong(f"more than {self.limit} bytes of output")
        (self.out if kind == STDOUT else self.err).extend(data)


def wrapped_service(line: str) -> tuple[str, str]:
    """Service and nonce for an adbd without shell_v2."""
    nonce = secrets.token_hex(8)
    return "shell:" + shlex.join(["sh", "-c", _WRAPPER, "sh", line, nonce]), nonce


def run_wrapped(stream: Stream, nonce: str, limit: int = MAX_OUTPUT) -> Result:
    """Output and status from the wrapper's own lines; LinkError when the last of them is missing."""
    said = bytearray()
    while data := stream.recv():
        said += data
        if len(said) > 2 * limit + 4096:  # base64 and CRLF
            raise OutputTooLong(f"more than {limit} bytes of output")
    return unwrap(bytes(said), nonce)


def unwrap(said: bytes, nonce: str) -> Result:
    """Output and exit status from what the wrapper script printed."""
    lines = said.replace(b"\r", b"").split(b"\n")
    mark = nonce.encode() + b":"
    marks = [(index, line[len(mark) :]) for index, line in enumerate(lines) if line.startswith(mark)]
    if [word for _, word in marks] == [b"none"]:
        raise LinkError(f"the device has none of {LEGACY_DIRECTORIES} to write to")
    if len(marks) != 3 or [word for _, word in marks[:2]] != [b"out", b"err"] or not marks[2][1].isdigit():
        raise LinkError("the command was cut off before its exit status came")
    (out, _), (err, _), (end, status) = marks
    try:
        return Result(
            int(status),
            base64.b64decode(b"".join(lines[out + 1 : err]), validate=True),
            base64.b64decode(b"".join(lines[err + 1 : end]), validate=True),
        )
    except (binascii.Error, ValueError):
        raise LinkError("the command's output arrived damaged") from None
