"""A trace file is a sequence of frames, each whole or lost: marker, kind, length, CRC-32, payload (proto/trace.proto).

The checksum covers kind and length too, so a damaged length cannot mislead. After damage the reader looks for the
next marker behind the start of the bad frame, not behind its claimed end: bytes may be missing.
"""

from __future__ import annotations

import struct
from binascii import crc32
from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

FORMAT = 2  # of a trace: what its header and its frames hold
# The outer bytes occur in no UTF-8 text, so no process name can pretend to be a frame. The last one is 0xFF - format.
MARKER = b"\xffLK\xfd"
_FORMER = {
    b"\xffLK" + bytes((0xFF - former,)): f"a trace of format {former}, wanted format {FORMAT}: use the lmkctl of the "
    "daemon that wrote it"
    for former in range(1, FORMAT)
}
FORMER = tuple(_FORMER.values())
HEAD = struct.Struct("<4sHHI")  # marker, kind, length, checksum
_CHECKED = slice(4, 8)  # kind and length
MAX_PAYLOAD = 0xFFFF

HEADER = 1
RECORD = 2
PROCESS = 3
NOTE = 4
STRIKE = 5

# So much may be checked in vain before a claimed length is believed: a forged file full of markers must not keep a
# reader busy for hours.
_PATIENCE_TIMES = 8
_PATIENCE_BYTES = 1 << 20


class FrameError(ValueError):
    """The payload is too long for a frame."""


class Frame(NamedTuple):
    """A whole frame. Kinds not named here are newer than this reader."""

    offset: int  # of its marker, bytes from the start of the file
    kind: int
    payload: bytes

    @property
    def end(self) -> int:
        """Offset of the first byte after the frame."""
        return self.offset + HEAD.size + len(self.payload)


class Lost(NamedTuple):
    """A stretch that holds no whole frame."""

    offset: int
    length: int
    why: str  # what was the matter with its start


def frame_bytes(kind: int, payload: bytes) -> bytes:
    """A frame, to be appended in one write; FrameError for more than 65,535 bytes."""
    if len(payload) > MAX_PAYLOAD:
        raise FrameError(f"frame of kind {kind}: found {len(payload)} bytes, wanted at most {MAX_PAYLOAD}")
    checked = struct.pack("<HH", kind, len(payload))
    return HEAD.pack(MARKER, kind, len(payload), crc32(checked + payload)) + payload


def read_frames(data: Union[bytes, mmap.mmap], at: int = 0) -> Iterator[Union[Frame, Lost]]:
    """Every whole frame and every stretch without one from offset `at` on, in order and without gaps. Never raises."""
    size = len(data)
    patience = _PATIENCE_TIMES * size + _PATIENCE_BYTES
    lost_from, why = -1, ""
    while at < size:
        found, trouble, checked = _look(data, at, size)
        if found is not None:
            if lost_from >= 0:
                yield Lost(lost_from, at - lost_from, why)
                lost_from = -1
            yield found
            at = found.end
            continue
        if lost_from < 0:
            lost_from, why = at, trouble
        patience -= checked
        following = data.find(MARKER, at + 1 if patience > 0 else at + max(checked, 1))
        at = following if following >= 0 else size
    if lost_from >= 0:
        yield Lost(lost_from, size - lost_from, why)


def _look(data: Union[bytes, mmap.mmap], at: int, size: int) -> tuple[Union[Frame, None], str, int]:
    """The frame at `at`, or why there is none and how many bytes were checked in vain."""
    head = data[at : at + HEAD.size]
    if not head.startswith(MARKER[: len(head)]):
        return None, _FORMER.get(head[: len(MARKER)], "no frame starts here"), 0
    if len(head) < HEAD.size:
        return None, f"cut short: {len(head)} of at least {HEAD.size} bytes", 0
    _, kind, length, checksum = HEAD.unpack(head)
    whole = HEAD.size + length
    if at + whole > size:
        return None, f"cut short: {size - at} of {whole} bytes", 0
    payload = data[at + HEAD.size : at + whole]
    if crc32(head[_CHECKED] + payload) != checksum:
        return None, "its checksum is wrong", whole
    return Frame(at, kind, payload), "", 0
