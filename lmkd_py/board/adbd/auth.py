"""Who may connect: Android's RSA keys, checked with nothing but integers, and the file of those that were accepted."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import struct
from typing import NamedTuple, Optional

KEY_WORDS = 64  # RSA-2048, the only size ADB uses
_KEY = struct.Struct(f"<II{4 * KEY_WORDS}s{4 * KEY_WORDS}sI")
KEY_BYTES = _KEY.size  # 524
KEY_LINE_LIMIT = 4096  # base64 is 700; the rest is the comment
MAX_KEYS = 256
TOKEN_BYTES = 20
# PKCS#1 v1.5: DigestInfo of SHA-1; the 20-byte token stands where the digest does.
_SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")

# Modes: take anybody without asking (tests); take a new key (as if somebody tapped "always allow"; tests); known keys
# only. On loopback every user of the machine can connect.
ALWAYS, ACCEPT_NEW, NEVER = "always", "accept-new", "never"
MODES = (ALWAYS, ACCEPT_NEW, NEVER)


class PublicKey(NamedTuple):
    """Modulus and exponent of an RSA-2048 key."""

    modulus: int
    exponent: int


def parse_key(line: bytes) -> PublicKey:
    """A key as adbkey.pub has it: base64 of the 524-byte struct, then a comment. Raises ValueError."""
    if len(line) > KEY_LINE_LIMIT:
        raise ValueError(f"a key of {len(line)} bytes, wanted at most {KEY_LINE_LIMIT}")
    fields = line.rstrip(b"\0").split(None, 1)
    try:
        raw = base64.b64decode(fields[0] if fields else b"", validate=True)
    except binascii.Error as error:
        raise ValueError(f"a key that is no base64: {error}") from None
    if len(raw) != KEY_BYTES:
        raise ValueError(f"a key of {len(raw)} bytes, wanted {KEY_BYTES}")
    words, _, modulus, _, exponent = _KEY.unpack(raw)
    key = PublicKey(int.from_bytes(modulus, "little"), exponent)
    if words != KEY_WORDS or key.modulus.bit_length() != 32 * KEY_WORDS or key.exponent not in (3, 65537):
        raise ValueError(f"a key of {words} words, {key.modulus.bit_length()} bits, exponent {exponent}: no RSA-2048")
    return key


def verify(key: PublicKey, token: bytes, signature: bytes) -> bool:
    """Is this the key's signature over the token?"""
    if len(signature) != 4 * KEY_WORDS or len(token) != TOKEN_BYTES:
        return False
    number = int.from_bytes(signature, "big")
    if number >= key.modulus:
        return False
    tail = b"\0" + _SHA1_PREFIX + token
    wanted = b"\0\1" + b"\xff" * (4 * KEY_WORDS - 2 - len(tail)) + tail
    # The whole block is compared: a check that skips over padding can be cheated with small exponents.
    return hmac.compare_digest(pow(number, key.exponent, key.modulus).to_bytes(4 * KEY_WORDS, "big"), wanted)


class KeyStore:
    """The keys that were accepted: lines of adbkey.pub in one file, mode 0600. Without a path they are forgotten."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        self._lines: dict[PublicKey, bytes] = {}
        if path and os.path.exists(path):
            with open(path, "rb") as file:
                for line in file.read(MAX_KEYS * KEY_LINE_LIMIT).splitlines():
                    self._take(line)

    def _take(self, line: bytes) -> Optional[PublicKey]:
        try:
            key = parse_key(line)
        except ValueError:
            return None
        if len(self._lines) < MAX_KEYS:
            # One line in the file, whatever the comment holds.
            self._lines[key] = b" ".join(line.rstrip(b"\0").split())
        return key

    def __len__(self) -> int:
        return len(self._lines)

    def signer(self, token: bytes, signature: bytes) -> Optional[PublicKey]:
        """The accepted key that made this signature, or None."""
        return next((key for key in self._lines if verify(key, token, signature)), None)

    def accept(self, line: bytes) -> PublicKey:
        """Accept a key for good. Raises ValueError for one that is none, OSError if it cannot be written."""
        parse_key(line)
        key = self._take(line)
        if key not in self._lines or key is None:
            raise ValueError(f"{MAX_KEYS} keys are accepted already")
        if self.path:
            new = self.path + ".new"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(b"".join(line + b"\n" for line in self._lines.values()))
            os.replace(new, self.path)
        return key
