"""What a virtual device's mark says, and that no domain but the device's own memory passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmkd_py.core.config import Config, ConfigError, DomainConfig, DomainKind, MonitorConfig, with_settings
from lmkd_py.wire.confines import Confines, decode_confines, encode_confines, inside, need_inside, read_confines

OURS = Confines(DomainKind.MEMCG_V1, "/sys/fs/cgroup/memory/ours", "/sys/fs/cgroup/unified/ours")


def test_a_mark_says_which_memory_and_a_damaged_one_says_none(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert read_confines(str(mark)) is None
    mark.write_text(encode_confines(OURS))
    assert read_confines(str(mark)) == OURS
    for text in ("", "0\n", "7\n/x\n/x\n", "1\nrelative\n", "1", "\0\0", "one\n/x\n"):
        assert decode_confines(text) == Confines()
        mark.write_text(text)
        assert read_confines(str(mark)) == Confines()


@pytest.mark.parametrize(
    "monitor",
    [
        MonitorConfig(),
        MonitorConfig(domain=DomainConfig(kind=DomainKind.MEMCG_V1, path="/sys/fs/cgroup/memory")),
        MonitorConfig(domain=DomainConfig(kind=DomainKind.MEMCG_V1, path="/sys/fs/cgroup/memory/ours/..")),
        MonitorConfig(domain=DomainConfig(kind=DomainKind.CGROUP_V2, path="/sys/fs/cgroup/other")),
    ],
)
def test_every_domain_but_the_devices_own_is_refused_and_replaced(monitor: MonitorConfig) -> None:
    own, none = f"this virtual device's own memory, {OURS.path}", "this virtual device has no memory of its own"
    for confines, wanted in ((OURS, own), (Confines(), none)):
        with pytest.raises(ConfigError, match=rf"monitor\.domain.*{wanted}"):
            need_inside(monitor, confines)
    need_inside(monitor, None)  # not on a virtual device
    need_inside(inside(Config(monitor=monitor), OURS).monitor, OURS)
    need_inside(with_settings(monitor, domain={"kind": DomainKind.SYSTEM, "path": ""}, observe=1), Confines())
