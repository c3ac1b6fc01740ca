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
from lmkd_py.host.config_text import config_text, is_binary, read_config
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
        (b"policy { compat: AOSP }", "policy.compat: found 'no such setting, in line 1', wanted policy.kind: AOSP_"),
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


MOVED = {
    "domain": "domain_kind=kind domain_path=path domain_psi_path=psi_path memcg_watermark_min_pct=watermark_min_pct"
    " memcg_watermark_low_pct=watermark_low_pct memcg_watermark_high_pct=watermark_high_pct",
    "triggers": "psi_some_stall_ms psi_full_stall_ms psi_window_ms vmpressure kick_reclaims kick_window_ms kick_gap_ms",
    "discovery": "scan scan_min_adj sized_candidates",
    "guarantee": "rt_priority lock_memory reserve_kb warm_ms warm_cpu_pct",
    "strike": "strike_min_adj=min_adj strike_answer_ms=answer_ms strike_gap_ms=gap_ms strike_lease_ms=lease_ms",
    "trace": "ring_slots trace_every=every",
}


@pytest.mark.parametrize(("part", "settings"), MOVED.items())
def test_a_setting_where_former_versions_had_it_is_answered_with_its_place(part: str, settings: str) -> None:
    for setting in settings.split():
        former, _, name = setting.partition("=")
        with pytest.raises(ConfigError) as refused:
            read_config(f"monitor {{\n {former}: 1\n}}".encode(), "c")
        found = f"monitor.{former}: found 'no such setting, in line 2'"
        assert str(refused.value) == f"{found}, wanted monitor.{part}.{name or former}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            b"monitor { strike: 0 }",
            "monitor.strike: found 'a value in line 1', wanted strike { ... } with enabled, min_",
        ),
        (b"monitor {\n strike:\n 0 }", "monitor.strike: found 'a value in line 3', wanted strike { ... } with enabled"),
        (b"monitor: 3", "monitor: found 'a value in line 1', wanted monitor { ... } with domain, triggers,"),
        (
            b"policy { psi_window_ms: 500 }",
            "policy.psi_window_ms: found 'no such setting, in line 1', wanted monitor.tr",
        ),
        (b"kind: 1", "kind: found 'no such setting, in line 1', wanted policy.kind or monitor.domain.kind"),
        (
            b"monitor { strike { observe: 1 } }",
            "monitor.strike.observe: found 'no such setting, in line 1', wanted moni",
        ),
        (b"monitor { triggers { strike: 1 } }", "c: found '1:22 : Message type"),
    ],
)
def test_a_setting_in_the_wrong_place_is_answered_with_the_right_one(text: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_config(text, "c")
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


def test_a_text_of_the_former_format_counts_once_its_settings_are_in_their_places() -> None:
    # `config show` prints the format, too.
    assert read_config(b"policy { lowmem_min_adj: 801 }\nformat: 1\n", "c").policy == PolicyConfig(lowmem_min_adj=801)
    with pytest.raises(ConfigError, match="format: found 3, wanted 2, or a newer lmkd_py"):
        read_config(b"format: 3", "c")


# What a lmkd_py before the parts of monitor wrote: domain_kind 1 and a domain_path, strike 0, then format 1.
FORMER = b"\x0a\x02\x08\x00\x12\x17\x08\x01\x12\x10/sys/fs/cgroup/x\x90\x01\x00\x18\x01"


@pytest.mark.parametrize("data", [FORMER, FORMER.replace(b"\x12\x17\x08\x01\x12\x10/sys/fs/cgroup/x", b"\x12\x03")])
def test_bytes_of_the_former_format_are_refused_as_such(data: bytes) -> None:
    assert is_binary(data)
    with pytest.raises(
        ConfigError, match=r"^format: found 1, wanted 2: a former release wrote it; write its settings "
    ):
        read_config(data, "config.bin")
