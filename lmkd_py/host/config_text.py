"""A configuration between its text for people (protobuf text format) and the bytes of config.bin."""

from __future__ import annotations

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from ..core.config import Config, ConfigError, validate
from ..pb import config_pb2
from ..wire.config import FORMAT, decode_config, encode_config

_FIRST_TAGS = (b"\x0a", b"\x12")  # fields 1 and 2 of Config, both messages


def read_config(data: bytes, name: str) -> Config:
    """The config in either form, defaults filled in, every value checked. `name` is what a ConfigError calls it."""
    if is_binary(data) or (not data and name.endswith(".bin")):
        return validate(decode_config(_from_bytes(data, name).SerializeToString()))
    return validate(decode_config(_from_text(data, name).SerializeToString()))


def is_binary(data: bytes) -> bool:
    """Whether it is the form of config.bin; else it is text."""
    return data[:1] in _FIRST_TAGS and not _is_text(data)


def sets_nothing(data: bytes, name: str) -> bool:
    """A text without a single setting: all defaults."""
    return not is_binary(data) and [field.name for field, _ in _from_text(data, name).ListFields()] == ["format"]


def config_text(config: Config) -> str:
    """The text form, every value, defaults included."""
    return text_format.MessageToString(config_pb2.Config.FromString(encode_config(config)))


def _from_bytes(data: bytes, name: str) -> config_pb2.Config:
    try:
        return config_pb2.Config.FromString(data)
    except DecodeError:
        raise ConfigError(name, f"{len(data)} bytes that are no Config", "a config.bin; encode it again") from None


def _from_text(data: bytes, name: str) -> config_pb2.Config:
    try:
        message = text_format.Parse(data.decode("utf-8"), config_pb2.Config())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        found = " ".join(str(error).split())
        if 'no field named "compat"' in found:
            wanted = "policy.kind: AOSP_MENDED (formerly compat IMPROVED) or AOSP_EXACT (formerly compat AOSP)"
            raise ConfigError("policy.compat", "a setting of former versions", wanted) from None
        # protobuf says LINE:COLUMN first.
        raise ConfigError(name, found, "settings as text, as docs/configuration.md lists them") from None
    if not message.HasField("format"):
        message.format = FORMAT
    return message


def _is_text(data: bytes) -> bool:
    # A text may start with an empty line, that is with the first tag of a message; but the fields of a message have
    # tags that no text contains.
    try:
        return all(one.isprintable() or one in "\n\r\t" for one in data.decode("utf-8"))
    except UnicodeDecodeError:
        return False
