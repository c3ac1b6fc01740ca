from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.config import DEFAULTS, RANGES, Config, ConfigError, DomainConfig, PolicyConfig, validate
from lmkd_py.pb import config_pb2
from lmkd_py.wire.config import FORMAT, Stored, config_hash, decode_config, encode_config
from tests.wire.values import INT64, TEXTS, from_google, to_google

ENUMS = {PolicyConfig: st.integers(0, 2), DomainConfig: st.integers(0, 3)}


def strategy(cls: Any) -> st.SearchStrategy[Any]:
    """Hypothesis strategy: any value of a config class."""
    return st.builds(cls, **{name: one(cls, name, default) for name, default in cls._field_defaults.items()})


def one(cls: Any, name: str, default: Any) -> st.SearchStrategy[Any]:
    """Hypothesis strategy: any value of one field."""
    if hasattr(default, "_fields"):
        return strategy(type(default))
    if name == "kind":
        return ENUMS[cls]
    return INT64 if isinstance(default, int) else TEXTS


CONFIGS = strategy(Config)
NAMES = sorted({name for place in RANGES for name in RANGES[place]} | {"path", "psi_path"})


@given(CONFIGS)
def test_what_was_encoded_is_decoded(config: Config) -> None:
    assert decode_config(encode_config(config)) == config


@given(CONFIGS)
def test_google_protobuf_agrees_both_ways(config: Config) -> None:
    ours = encode_config(config)
    theirs = to_google(Stored(*config, FORMAT), config_pb2.Config()).SerializeToString()
    assert from_google(config_pb2.Config.FromString(ours), Stored(*config)) == Stored(*config, FORMAT)
    assert decode_config(theirs) == config
    assert ours == theirs


@given(CONFIGS, st.sets(st.sampled_from(NAMES)))
def test_a_missing_field_has_its_default(config: Config, missing: set[str]) -> None:
    message = to_google(Stored(*config, FORMAT), config_pb2.Config())
    clear(message, missing)
    found = decode_config(message.SerializeToString())
    assert found == with_defaults(config, DEFAULTS, missing)


def clear(message: Any, missing: set[str]) -> None:
    """Take fields out of a message and the messages in it."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type:
            clear(getattr(message, field.name), missing)
        elif field.name in missing:
            message.ClearField(field.name)


def with_defaults(value: Any, default: Any, names: set[str]) -> Any:
    """The value with the defaults of some fields, in all its messages."""
    if not hasattr(value, "_fields"):
        return value
    pairs = zip(value._fields, value, default, strict=True)
    return type(value)(*(own if name in names else with_defaults(one, own, names) for name, one, own in pairs))


def test_the_defaults_are_bytes_like_any_other_config() -> None:
    assert validate(decode_config(encode_config(DEFAULTS))) == DEFAULTS
    assert decode_config(b"", may_lack_format=True) == DEFAULTS


@given(CONFIGS, st.integers(0))
def test_a_config_that_was_cut_off_anywhere_is_refused(config: Config, length: int) -> None:
    data = encode_config(config)
    for part in (b"", data[: length % len(data)]):
        with pytest.raises(ConfigError):
            decode_config(part)


def test_what_was_cut_off_between_two_fields_is_told_so() -> None:
    data = encode_config(DEFAULTS)
    for part in (b"", data[:-2]):  # all but the format
        with pytest.raises(ConfigError, match=f"format: found '?{len(part)} bytes without it.*cut off; write it again"):
            decode_config(part)


def test_another_format_is_refused_by_its_number() -> None:
    with pytest.raises(ConfigError, match="format: found 3, wanted 2, or a newer lmkd_py"):
        decode_config(encode_config(DEFAULTS) + b"\x18\x03")


@pytest.mark.parametrize(
    "monitor",
    [b"\x08\x01", b"\x08\x01\x12\x06/a/b/c", b"\x12\x00\x20\x46"],
    ids=["a number for a message", "a path for a message", "an empty path, a number"],
)
def test_the_former_format_is_refused_by_its_number_whatever_its_fields_look_like(monitor: bytes) -> None:
    # Format 1 had the domain's kind and path as fields 1 and 2 of MonitorConfig, PSI's stalls as 4 and 5.
    data = b"\x12" + bytes([len(monitor)]) + monitor + b"\x18\x01"
    for may_lack_format in (False, True):
        with pytest.raises(ConfigError, match=r"^format: found 1, wanted 2: a former release wrote it"):
            decode_config(data, may_lack_format)


def test_the_last_word_counts_and_parts_are_merged() -> None:
    first = config_pb2.Config(policy=config_pb2.PolicyConfig(kill_timeout_ms=5, lowmem_min_adj=800))
    second = config_pb2.Config(policy=config_pb2.PolicyConfig(kill_timeout_ms=7))
    data = first.SerializeToString() + second.SerializeToString() + b"\x18\x02"
    assert decode_config(data).policy == PolicyConfig(kill_timeout_ms=7, lowmem_min_adj=800)
    assert config_pb2.Config.FromString(data).policy.kill_timeout_ms == 7


def test_a_tunable_nobody_would_heed_is_refused_by_its_number() -> None:
    with pytest.raises(ConfigError, match="Config field 9"):
        decode_config(encode_config(DEFAULTS) + b"\x48\x01")
    with pytest.raises(ConfigError, match="PolicyConfig field 100"):
        decode_config(b"\x0a\x03\xa0\x06\x01")
    with pytest.raises(ConfigError, match="Config field 0"):
        decode_config(b"\x00\x00")


def test_wrong_types_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"PolicyConfig.kill_timeout_ms \(field 3\): found 'wire type 2'"):
        decode_config(b"\x0a\x02\x1a\x00")
    with pytest.raises(ConfigError, match=r"DomainConfig.path: .*wanted UTF-8"):
        decode_config(b"\x12\x05\x0a\x03\x12\x01\xff")


def test_a_number_beyond_64_bits_cannot_be_encoded() -> None:
    with pytest.raises(ConfigError, match=r"PolicyConfig\.filecache_min_kb"):
        encode_config(Config(PolicyConfig(filecache_min_kb=2**63)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_config_or_a_config_error(data: bytes) -> None:
    try:
        config = decode_config(data)
    except ConfigError:
        return
    assert decode_config(encode_config(config)) == config


@given(CONFIGS, st.integers(0), st.integers(0, 255))
def test_a_damaged_config_is_a_config_or_a_config_error(config: Config, at: int, byte: int) -> None:
    data = bytearray(encode_config(config))
    data[at % len(data)] = byte
    try:
        decode_config(bytes(data))
    except ConfigError:
        pass


@given(st.binary())
def test_the_hash_is_sha256(data: bytes) -> None:
    assert config_hash(data) == hashlib.sha256(data).hexdigest()
