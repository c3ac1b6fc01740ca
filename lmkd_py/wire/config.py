"""config.bin: the bytes of a Config as proto/config.proto has them, and their hash."""

from __future__ import annotations

from typing import NamedTuple

from ..core.config import DEFAULTS, Config, ConfigError, MonitorConfig, PolicyConfig
from .message import Message, MessageError

# Importing hashlib loads OpenSSL; the module behind it is called _sha2 since Python 3.12 and _sha256 before.
try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from hashlib import sha256

FORMAT = 2


class Stored(NamedTuple):
    """What the bytes hold. `format` comes last and is always there: bytes that were cut off do not have it."""

    policy: PolicyConfig = DEFAULTS.policy
    monitor: MonitorConfig = DEFAULTS.monitor
    format: int = 0


class _Envelope(NamedTuple):
    """The same with its messages unread: the format says whether the fields in them are those of Stored."""

    policy: bytes = b""
    monitor: bytes = b""
    format: int = 0


_STORED = Message(Stored, strict=True)
_ENVELOPE = Message(_Envelope)


def encode_config(config: Config) -> bytes:
    """All tunables, also those that have their default; ConfigError for a number beyond 64 bits."""
    try:
        return _STORED.encode(Stored(config.policy, config.monitor, FORMAT))
    except MessageError as error:
        raise ConfigError(error.where, error.found, error.wanted) from None


def decode_config(data: bytes, may_lack_format: bool = False) -> Config:
    """The config in `data`, its values unchecked (core.config.validate does that). A missing field has its default.

    ConfigError for bytes that are no config, were cut off (no format) or are of another format, and for a field this
    version does not know, named by its number. may_lack_format: something else vouches that nothing was cut off.
    """
    try:
        found = _ENVELOPE.decode(data).format
        if 0 < found < FORMAT:
            wanted = f"{FORMAT}: a former release wrote it; write its settings as text and push it"
            raise ConfigError("format", found, wanted)
        if found not in (0, FORMAT):
            raise ConfigError("format", found, f"{FORMAT}, or a newer lmkd_py")
        stored: Stored = _STORED.decode(data)
    except MessageError as error:
        where = error.where.replace("Stored", "Config").replace("_Envelope", "Config")
        raise ConfigError(where, error.found, error.wanted) from None
    if stored.format == 0 and not may_lack_format:
        wanted = f"format {FORMAT} at their end: the file was cut off; write it again with lmkctl config encode"
        raise ConfigError("format", f"{len(data)} bytes without it", wanted)
    return Config(stored.policy, stored.monitor)


def config_hash(data: bytes) -> str:
    """sha256 of encoded bytes, 64 hexadecimal digits."""
    digest: str = sha256(data).hexdigest()
    return digest
