"""A configuration means the same as text and as bytes, and what is wrong with one is said in one line."""

from __future__ import annotations

import pytest

from lmkd_py.core.config import (
    DEFAULTS,
    Config,
    ConfigError,
    GuaranteeConfig,
    MonitorConfig,
    PolicyConfig,
    TriggerConfig,
)
from lmkd_py.host.config_text import config_text, read_config
from lmkd_py.wire.config import encode_config

CHANGED = Config(
    PolicyConfig(lowmem_min_adj=801, kind=1),
    MonitorConfig(triggers=TriggerConfig(psi_some_stall_ms=90), guarantee=GuaranteeConfig(rt_priority=0)),
)


@pytest.mark.parametrize("config", [DEFAULTS, CHANGED])
def test_text_and_bytes_are_the_same_config(config: Config) -> None:
    text = config_text(config)
    assert read_config(text.encode(), "c") == config
    assert read_config(encode_config(config), "c") == config
    assert config_text(read_config(encode_config(config), "c")) == text


def test_what_a_text_leaves_out_has_its_default() -> None:
    assert read_config(b"", "c") == DEFAULTS
    assert read_config(b"\n# a comment\npolicy { lowmem_min_adj: 801 }\n", "c").policy == PolicyConfig(
        lowmem_min_adj=801
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"policy { lowmem_min_adj: 100 }", "policy.lowmem_min_adj: found 100, wanted an integer from 201 to 1001"),
        (b"policy { no_such_tunable: 1 }", "no_such_tunable"),
        (b"policy { compat: AOSP }", "policy.compat: found 'a setting of former versions', wanted policy.kind: AOSP_"),
        (b"\xff\xfe\x00", "c: found"),
        (b"\x0a\x7f\x08", "3 bytes that are no Config"),
        (b"policy {\n lowmem_min_adj: x }", "2:18"),
    ],
)
def test_a_bad_config_is_refused_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_config(data, "c")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
