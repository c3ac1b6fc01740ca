"""A config that cannot work is refused with its name, what was found and what was wanted."""

from __future__ import annotations

from typing import Any

import pytest

from lmkd_py.core.config import (
    DEFAULTS,
    Config,
    ConfigError,
    DomainKind,
    MonitorConfig,
    PolicyConfig,
    low_ram_monitor,
    low_ram_policy,
    make_policy,
    validate,
)


def test_the_defaults_are_valid_and_come_back_as_they_are() -> None:
    assert validate(DEFAULTS) is DEFAULTS
    assert make_policy() == PolicyConfig()


def test_every_number_of_policy_and_monitor_has_a_range() -> None:
    parts: tuple[tuple[str, Any], ...] = (("policy", DEFAULTS.policy), ("monitor", DEFAULTS.monitor))
    for part, values in parts:
        for name, value in values._asdict().items():
            if isinstance(value, int):
                low = min(value, 0) - 1  # a default of -1 has a meaning
                changes: dict[str, Any] = {part: values._replace(**{name: low})}
                with pytest.raises(ConfigError, match=rf"{part}\.{name}: found {low}, wanted "):
                    validate(DEFAULTS._replace(**changes))


@pytest.mark.parametrize(
    ("name", "highest"),
    [
        ("swap_free_low_pct", 100),
        ("swap_util_max_pct", 100),
        ("thrashing_limit_decay_pct", 100),
        ("stall_limit_critical_pct", 100),
        ("pressure_after_kill_min_adj", 1000),
        ("lowmem_min_adj", 1001),
        ("kind", 2),
        ("kill_heaviest_task", 1),
    ],
)
def test_ranges_end_where_aosp_clamps(name: str, highest: int) -> None:
    assert getattr(make_policy(**{name: highest}), name) == highest
    with pytest.raises(ConfigError) as error:
        make_policy(**{name: highest + 1})
    assert (error.value.name, error.value.found) == (f"policy.{name}", highest + 1)


def test_plain_low_memory_never_reaches_perceptible_apps() -> None:
    with pytest.raises(ConfigError):
        make_policy(lowmem_min_adj=200)


def test_the_critical_thrashing_limit_follows_the_limit_unless_given() -> None:
    assert make_policy(thrashing_limit_pct=40).thrashing_limit_critical_pct == 120
    assert make_policy(thrashing_limit_pct=40, thrashing_limit_critical_pct=50).thrashing_limit_critical_pct == 50
    with pytest.raises(ConfigError):
        make_policy(thrashing_limit_pct=2**31 - 1)


def test_small_devices_thrash_earlier_and_stall_later() -> None:
    policy = low_ram_policy()
    assert policy.thrashing_limit_pct == 30
    assert policy.thrashing_limit_decay_pct == 50
    assert policy.thrashing_limit_critical_pct == 90
    assert low_ram_policy(thrashing_limit_pct=60).thrashing_limit_pct == 60
    assert low_ram_monitor(MonitorConfig()).psi_some_stall_ms == 200


def test_an_unknown_tunable_is_named() -> None:
    with pytest.raises(ConfigError, match="thrashing_limit: found 3"):
        make_policy(thrashing_limit=3)


@pytest.mark.parametrize("found", ["100", 1.5, None, True])
def test_only_whole_numbers_are_numbers(found: object) -> None:
    with pytest.raises(ConfigError):
        make_policy(kill_timeout_ms=found)  # type: ignore[arg-type]


MEMCG = MonitorConfig(domain_kind=DomainKind.MEMCG_V1, domain_path="/sys/fs/cgroup/memory/apps")


@pytest.mark.parametrize(
    ("monitor", "name", "wanted"),
    [
        (MonitorConfig(psi_some_stall_ms=1200), "psi_some_stall_ms", "its window of 1000 ms"),
        (MonitorConfig(psi_full_stall_ms=1001), "psi_full_stall_ms", "its window of 1000 ms"),
        (MonitorConfig(psi_window_ms=499), "psi_window_ms", "from 500 to 10000"),
        (MonitorConfig(domain_kind=4), "domain_kind", "from 0 to 3"),
        (MEMCG._replace(domain_path="memory/apps"), "domain_path", "an absolute path"),
        (MEMCG._replace(domain_path=""), "domain_path", "the directory of the cgroup"),
        (MEMCG._replace(domain_path=7), "domain_path", "a path"),  # type: ignore[arg-type]
        (MEMCG._replace(domain_path="/a\0b"), "domain_path", "a path"),
        (MEMCG._replace(domain_psi_path="unified/apps"), "domain_psi_path", "an absolute path"),
        (MEMCG._replace(domain_kind=DomainKind.CGROUP_V2, domain_psi_path="/x"), "domain_psi_path", "only a v1 memcg"),
        (MonitorConfig(DomainKind.SYSTEM, "/sys/fs/cgroup"), "domain_path", "the whole system"),
        (MonitorConfig(domain_path="/sys/fs/cgroup"), "domain_path", "AUTO looks for it itself"),
        (MonitorConfig(memcg_watermark_low_pct=7), "memcg_watermark_", "min <= low <= high"),
        (MonitorConfig(rt_priority=100), "rt_priority", "from 0 to 99"),
    ],
)
def test_a_monitor_that_cannot_work_is_refused(monitor: MonitorConfig, name: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"^monitor.{name}.*found .*wanted .*{wanted}"):
        validate(Config(monitor=monitor))


def test_a_memory_cgroup_with_its_twin_is_fine() -> None:
    validate(Config(monitor=MEMCG._replace(domain_psi_path="/sys/fs/cgroup/unified/apps")))
