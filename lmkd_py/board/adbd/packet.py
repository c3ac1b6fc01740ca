"""ADB messages as bytes: the one place that knows the 24-byte header. No I/O, no state but the unread bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional

HEADER = struct.Struct("<6I")
VERSION_CHECKSUM = 0x01000000  # both sides check data_check
VERSION = 0x01000001  # data_check is ignored
MAX_PAYLOAD = 1 << 20
LEGACY_PAYLOAD = 4096
MASK = 0xFFFFFFFF


def _word(name: bytes) -> int:
    return int.from_bytes(name, "little")


CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = map(_word, (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE"))
COMMANDS = frozenset((CNXN, AUTH, OPEN, OKAY, WRTE, CLSE))

AUTH_TOKEN, AUTH_SIGNATURE, AUTH_PUBLIC_KEY = 1, 2, 3


class ProtocolBreach(Exception):
    """The peer broke the protocol: what came, in one line. The connection is dropped."""


class AdbMessage(NamedTuple):
    """One ADB message. `arg0` and `arg1` mean what the command says."""

    command: int
    arg0: int
    arg1: int
    payload: bytes = b""


def checksum(data: bytes) -> int:
    """Sum of all bytes, modulo 2^32, as data_check wants it."""
    # sum() takes 8 ms for a MiB. One big integer, its bytes spread over 32-bit lanes and the lanes folded in
    # halves, takes a tenth of that: the carries stay in the lane as long as there are less than 2^24 bytes.
    if len(data) < 2048:
        return sum(data) & MASK
    number = int.from_bytes(data, "little")
    lanes = 1
    while lanes * 4 < len(data):
        lanes *= 2
    ones = int.from_bytes(b"\xff\0\0\0" * lanes, "little")
    total = (number & ones) + (number >> 8 & ones) + (number >> 16 & ones) + (number >> 24 & ones)
    while lanes > 1:
        lanes //= 2
        total = (total >> 32 * lanes) + (total & (1 << 32 * lanes) - 1)
    return total & MASK


def encode(message: AdbMessage, check: bool) -> bytes:
    """Header and payload; data_check is filled in only where the peer looks at it."""
    payload = message.payload
    header = (message.command, message.arg0, message.arg1, len(payload), checksum(payload) if check else 0)
    return HEADER.pack(*header, message.command ^ MASK) + payload


class Decoder:
    """Bytes in, messages out. `limit` is the largest payload taken, in bytes; it may be changed between messages."""

    def __init__(self, limit: int, check: bool = True) -> None:
        self.limit = limit
        self.check = check
        self._unread = bytearray()
        self._header: Optional[tuple[int, ...]] = None

    @property
    def missing(self) -> int:
        """Bytes still wanted for the next step, at least 1; 0 if next() has something to do."""
        return max(0, (HEADER.size if self._header is None else self._header[3]) - len(self._unread))

    @property
    def is_between(self) -> bool:
        """True between two messages: nothing of the next one has come."""
        return self._header is None and not self._unread

    def feed(self, data: bytes) -> None:
        self._unread += data

    def next(self) -> Optional[AdbMessage]:
        """The next whole message, None if more bytes are needed. Raises ProtocolBreach; the decoder is dead then."""
        if self._header is None:
            if len(self._unread) < HEADER.size:
                return None
            self._header = self._checked(HEADER.unpack_from(self._unread))
            del self._unread[: HEADER.size]
        command, arg0, arg1, length, data_check, _ = self._header
        if len(self._unread) < length:
            return None
        payload = bytes(memoryview(self._unread)[:length])
        del self._unread[:length]
        self._header = None
        if self.check and length and checksum(payload) != data_check:
            raise ProtocolBreach(f"data_check is {data_check:#x}, wanted {checksum(payload):#x}")
        return AdbMessage(command, arg0, arg1, payload)

    def _checked(self, header: tuple[int, ...]) -> tuple[int, ...]:
        command, _, _, length, _, magic = header
        if command ^ MASK != magic:
            raise ProtocolBreach(f"magic is {magic:#x} for command {command:#x}")
        if command not in COMMANDS:
            raise ProtocolBreach(f"command {command:#x} is none of ours")
        if length > self.limit:
            raise ProtocolBreach(f"payload of {length} bytes, at most {self.limit} are taken")
        return header
