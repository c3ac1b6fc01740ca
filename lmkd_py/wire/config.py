"""config.bin: the bytes of a Config as proto/config.proto has them, and their hash."""

from __future__ import annotations

from ..core.config import Config, ConfigError
from .message import Message, MessageError

# Importing hashlib loads OpenSSL; the module behind it is called _sha2 since Python 3.12 and _sha256 before.
try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from hashlib import sha256

_CONFIG = Message(Config, strict=True)


def encode_config(config: Config) -> bytes:
    """All tunables, also those that have their default; ConfigError for a number beyond 64 bits."""
    try:
        return _CONFIG.encode(config)
    except MessageError as error:
        raise ConfigError(error.where, error.found, error.wanted) from None


def decode_config(data: bytes) -> Config:
    """The config in `data`, its values unchecked (core.config.validate does that). A missing field has its default.

    ConfigError for bytes that are no config and for a field this version does not know, named by its number.
    """
    try:
        config: Config = _CONFIG.decode(data)
    except MessageError as error:
        raise ConfigError(error.where, error.found, error.wanted) from None
    return config


def config_hash(data: bytes) -> str:
    """sha256 of encoded bytes, 64 hexadecimal digits."""
    digest: str = sha256(data).hexdigest()
    return digest
