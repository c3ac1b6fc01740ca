"""A config that cannot work is refused with its name, what was found and what was wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lmkd_py.core.config import (
    DEFAULTS,
    RANGES,
    Config,
    ConfigError,
    DomainConfig,
    DomainKind,
    GuaranteeConfig,
    MonitorConfig,
    PolicyConfig,
    StrikeConfig,
    TriggerConfig,
    low_ram_monitor,
    low_ram_policy,
    make_policy,
    validate,
    with_settings,
)


def test_the_defaults_are_valid_and_come_back_as_they_are() -> None:
    assert validate(DEFAULTS) is DEFAULTS
    assert make_policy() == PolicyConfig()


def parts(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The messages in a config, each with its name from Config down."""
    for name, field in value._asdict().items():
        if hasattr(field, "_fields"):
            inner = f"{place}.{name}" if place else name
            yield inner, field
            yield from parts(field, inner)


def changed(value: Any, place: str, **changes: int) -> Any:
    """The config with fields of the message `place` changed."""
    name, _, rest = place.partition(".")
    inner = getattr(value, name)
    return value._replace(**{name: changed(inner, rest, **changes) if rest else inner._replace(**changes)})


@pytest.mark.parametrize(("place", "values"), parts(DEFAULTS), ids=lambda one: one if isinstance(one, str) else "")
def test_every_number_has_a_range_and_is_refused_by_its_whole_name(place: str, values: Any) -> None:
    for name, value in values._asdict().items():
        if isinstance(value, int):
            low = min(value, 0) - 1  # a default of -1 has a meaning
            with pytest.raises(ConfigError) as refused:
                validate(changed(DEFAULTS, place, **{name: low}))
            assert str(refused.value).startswith(f"{place}.{name}: found {low}, wanted an integer from ")


def test_every_range_is_of_a_setting() -> None:
    found = dict(parts(DEFAULTS))
    for place, ranges in RANGES.items():
        assert set(ranges) <= set(found[place]._fields), place


def test_settings_are_changed_by_part_and_name() -> None:
    monitor = with_settings(MonitorConfig(), strike={"gap_ms": 5, "enabled": 0}, observe=1)
    assert (monitor.strike, monitor.observe) == (StrikeConfig(gap_ms=5, enabled=0), 1)
    assert monitor._replace(strike=StrikeConfig(), observe=0) == MonitorConfig()
    for wrong in ({"strike": {"no_such": 1}}, {"no_such": 1}):
        with pytest.raises((TypeError, ValueError), match="no_such"):  # which it is differs between Pythons
            with_settings(MonitorConfig(), **wrong)


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
    assert low_ram_monitor(MonitorConfig()).triggers.psi_some_stall_ms == 200


def test_an_unknown_tunable_is_named() -> None:
    with pytest.raises(ConfigError, match="thrashing_limit: found 3"):
        make_policy(thrashing_limit=3)


@pytest.mark.parametrize("found", ["100", 1.5, None, True])
def test_only_whole_numbers_are_numbers(found: object) -> None:
    with pytest.raises(ConfigError):
        make_policy(kill_timeout_ms=found)  # type: ignore[arg-type]


MEMCG = MonitorConfig(domain=DomainConfig(kind=DomainKind.MEMCG_V1, path="/sys/fs/cgroup/memory/apps"))


@pytest.mark.parametrize(
    ("monitor", "name", "wanted"),
    [
        (
            MonitorConfig(triggers=TriggerConfig(psi_some_stall_ms=1200)),
            "triggers.psi_some_stall_ms",
            "its window of 1000 ms",
        ),
        (
            MonitorConfig(triggers=TriggerConfig(psi_full_stall_ms=1001)),
            "triggers.psi_full_stall_ms",
            "its window of 1000 ms",
        ),
        (MonitorConfig(triggers=TriggerConfig(psi_window_ms=499)), "triggers.psi_window_ms", "from 500 to 10000"),
        (MonitorConfig(domain=DomainConfig(kind=4)), "domain.kind", "from 0 to 3"),
        (with_settings(MEMCG, domain={"path": "memory/apps"}), "domain.path", "an absolute path"),
        (with_settings(MEMCG, domain={"path": ""}), "domain.path", "the directory of the cgroup"),
        (with_settings(MEMCG, domain={"path": 7}), "domain.path", "a path"),
        (with_settings(MEMCG, domain={"path": "/a\0b"}), "domain.path", "a path"),
        (with_settings(MEMCG, domain={"psi_path": "unified/apps"}), "domain.psi_path", "an absolute path"),
        (
            with_settings(MEMCG, domain={"kind": DomainKind.CGROUP_V2, "psi_path": "/x"}),
            "domain.psi_path",
            "only a v1 memcg",
        ),
        (MonitorConfig(domain=DomainConfig(DomainKind.SYSTEM, "/sys/fs/cgroup")), "domain.path", "the whole system"),
        (MonitorConfig(domain=DomainConfig(path="/sys/fs/cgroup")), "domain.path", "AUTO looks for it itself"),
        (MonitorConfig(domain=DomainConfig(watermark_low_pct=7)), "domain.watermark_", "min <= low <= high"),
        (MonitorConfig(guarantee=GuaranteeConfig(rt_priority=100)), "guarantee.rt_priority", "from 0 to 99"),
    ],
)
def test_a_monitor_that_cannot_work_is_refused(monitor: MonitorConfig, name: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=rf"^monitor\.{name}.*found .*wanted .*{wanted}"):
        validate(Config(monitor=monitor))


def test_a_memory_cgroup_with_its_twin_is_fine() -> None:
    validate(Config(monitor=with_settings(MEMCG, domain={"psi_path": "/sys/fs/cgroup/unified/apps"})))
