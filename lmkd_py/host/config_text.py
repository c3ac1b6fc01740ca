"""A configuration between its text for people (protobuf text format) and the bytes of config.bin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from ..core.config import DEFAULTS, Config, ConfigError, validate
from ..pb import config_pb2
from ..wire.config import FORMAT, decode_config, encode_config

# Settings of former versions that have another name now. Those that only moved are found by their name.
_RENAMED = {
    "compat": "policy.kind: AOSP_MENDED (formerly compat IMPROVED) or AOSP_EXACT (formerly compat AOSP)",
    "memcg_watermark_min_pct": "monitor.domain.watermark_min_pct",
    "memcg_watermark_low_pct": "monitor.domain.watermark_low_pct",
    "memcg_watermark_high_pct": "monitor.domain.watermark_high_pct",
}
_WANTED = "settings as text, as docs/configuration.md lists them"
_FIRST_TAGS = (b"\x0a", b"\x12")  # fields 1 and 2 of Config, both messages


def read_config(data: bytes, name: str) -> Config:
    """The config in either form, defaults filled in, every value checked. `name` is what a ConfigError calls it."""
    if is_binary(data) or (not data and name.endswith(".bin")):
        return validate(_from_bytes(data, name))
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


def _from_bytes(data: bytes, name: str) -> Config:
    try:
        return decode_config(data)
    except ConfigError as error:
        # Of another format the fields are other ones, and what they hold need not be messages.
        if error.name == "format" or _is_message(data):
            raise
    raise ConfigError(name, f"{len(data)} bytes that are no Config", "a config.bin; encode it again")


def _is_message(data: bytes) -> bool:
    try:
        config_pb2.Config.FromString(data)
    except DecodeError:
        return False
    return True


def _from_text(data: bytes, name: str) -> config_pb2.Config:
    try:
        text = data.decode("utf-8")
        message = text_format.Parse(text, config_pb2.Config())
    except UnicodeDecodeError as error:
        raise ConfigError(name, str(error), _WANTED) from None
    except text_format.ParseError as error:
        # protobuf says LINE:COLUMN first.
        raise _misplaced(text, error) or ConfigError(name, " ".join(str(error).split()), _WANTED) from None
    # A text names its settings, so an older format says nothing about them.
    message.format = max(message.format, FORMAT)
    return message


def _is_text(data: bytes) -> bool:
    # A text may start with an empty line, that is with the first tag of a message; but the fields of a message have
    # tags that no text contains.
    try:
        return all(one.isprintable() or one in "\n\r\t" for one in data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _misplaced(text: str, error: text_format.ParseError) -> ConfigError | None:
    """What to say of a setting that stands in the wrong message, or of a message that is given a number like one.

    The right place is where a setting of that name is, or of that name without its first word, which is the message's:
    former versions had strike_gap_ms, which is strike.gap_ms now. None: there is no such place.
    """
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    tree = dict(_tree(DEFAULTS))
    unknown = re.search(r'type "lmkd_py\.(\w+)" has no field named "(\w+)"', str(error))
    if unknown is None:
        before = "\n".join([*text.split("\n")[: line - 1], text.split("\n")[line - 1][: column - 1]])
        word = re.search(r"(\w+)\s*:\s*$", before)
        for place, field in tree.items():
            if word and place.split(".")[-1] == word[1] and hasattr(field, "_fields"):
                return ConfigError(
                    place, f"a value in line {line}", f"{word[1]} {{ ... }} with {', '.join(field._fields)}"
                )
        return None
    message, name = unknown.groups()
    inside = next((f"{place}." for place, field in tree.items() if type(field).__name__ == message), "")
    ends = (f".{name}", f".{name.replace('_', '.', 1)}")
    wanted = [place for place, field in tree.items() if place.endswith(ends) and not hasattr(field, "_fields")]
    new = _RENAMED.get(name, " or ".join(wanted))
    return ConfigError(inside + name, f"no such setting, in line {line}", new) if new else None


def _tree(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a config, messages included, each with its name from Config down."""
    for name, field in value._asdict().items():
        inner = f"{place}.{name}" if place else name
        yield inner, field
        if hasattr(field, "_fields"):
            yield from _tree(field, inner)
