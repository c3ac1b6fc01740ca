"""Config pushes that wait for their confirmation: two at once, a timer that is lost, a device that boots meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.core.config import Config, PolicyConfig, with_settings
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.service import Service
from lmkd_py.host.steps import run_steps
from lmkd_py.wire.config import config_hash, encode_config
from lmkd_py.wire.pending import Pending, boot_id, boottime_s, encode_pending
from tests.host.conftest import Rack
from tests.host.test_steps import NEW_CONFIG, OLD_CONFIG, ROOT, WATCHING, install, push
from tests.support import REPO_ROOT, wait_until

OTHER_CONFIG = Config(PolicyConfig(lowmem_min_adj=803), WATCHING)
ARMED_S = 60.0


@pytest.fixture
def installed(rack: Rack) -> Endpoint:
    endpoint = rack.add()
    device = rack.device(endpoint)
    install(device)
    push(device, OLD_CONFIG)
    return endpoint


def config(rack: Rack, endpoint: Endpoint) -> bytes:
    return rack.path(endpoint, f"{ROOT}/config.bin").read_bytes()


def held(rack: Rack, endpoint: Endpoint, what: Config, confirm_s: float = 3600.0) -> ConfigPush:
    """Pushed, and left unconfirmed."""
    return run_steps(CONFIG_PUSH, ConfigPush(rack.device(endpoint), what, confirm_s=confirm_s, hold=True))


def test_of_two_pushes_at_once_one_wins_and_the_other_is_told_why(rack: Rack, installed: Endpoint) -> None:
    first = ConfigPush(rack.device(installed), NEW_CONFIG, confirm_s=600.0)
    second = ConfigPush(rack.device(installed), OTHER_CONFIG, confirm_s=600.0)
    *before, confirm = CONFIG_PUSH
    # Both are staged and tried before either is applied: neither takes the other's file.
    for step in before[:3]:
        step.work(first)
        step.work(second)
    before[3].work(first)
    with pytest.raises(DeviceError, match=r"another config push waits for its confirmation, \d+ s more") as refused:
        before[3].work(second)
    assert refused.value.fault == Fault.REFUSED
    assert config(rack, installed) == encode_config(NEW_CONFIG)
    for step in (*before[4:], confirm):
        step.work(first)
    assert config(rack, installed) == encode_config(NEW_CONFIG)
    assert not rack.path(installed, f"{ROOT}/config.pending").exists()
    assert not list(rack.path(installed, f"{ROOT}/staging").iterdir())
    push(rack.device(installed), OTHER_CONFIG)  # now it is its turn
    assert config(rack, installed) == encode_config(OTHER_CONFIG)


def test_a_push_that_fails_leaves_anothers_confirmation_and_its_way_back(rack: Rack, installed: Endpoint) -> None:
    held(rack, installed, NEW_CONFIG)
    pending = rack.path(installed, f"{ROOT}/config.pending")
    before = pending.read_bytes()
    gone = NEW_CONFIG._replace(monitor=with_settings(WATCHING, domain={"kind": 1, "path": "/no/such/cgroup"}))
    for bad in (OTHER_CONFIG, gone):
        with pytest.raises(DeviceError):
            push(rack.device(installed), bad)
        assert pending.read_bytes() == before
        assert config(rack, installed) == encode_config(NEW_CONFIG)
    assert Service(rack.device(installed), ROOT).call("revert", "") == {"reverted": True}
    assert config(rack, installed) == encode_config(OLD_CONFIG)


@pytest.mark.all_suite
def test_the_same_config_pushed_again_joins_the_one_that_waits(rack: Rack, installed: Endpoint) -> None:
    first = held(rack, installed, NEW_CONFIG)
    again = push(rack.device(installed), NEW_CONFIG)  # as after a host that was cut off
    assert again.nonce == first.nonce
    service = Service(rack.device(installed), ROOT)
    assert service.call("confirm", first.nonce) == {}  # the first one hears that its config stays
    with pytest.raises(DeviceError, match="no push is waiting for confirmation"):
        service.call("confirm", "another")
    assert config(rack, installed) == encode_config(NEW_CONFIG)


@pytest.mark.all_suite
def test_a_push_that_was_taken_back_before_it_was_seen_is_not_called_a_failure_of_the_daemon(
    rack: Rack, installed: Endpoint
) -> None:
    device = rack.device(installed)
    service = Service(device, ROOT)
    service.start(observe=True)
    first = ConfigPush(device, NEW_CONFIG, confirm_s=600.0)
    for step in CONFIG_PUSH[:4]:
        step.work(first)
    service.call("revert", "")
    with pytest.raises(DeviceError, match="taken back meanwhile") as told:
        CONFIG_PUSH[4].work(first)
    assert told.value.fault == Fault.REVERTED
    service.stop()


def test_a_device_that_boots_within_the_window_has_the_former_config(rack: Rack, installed: Endpoint) -> None:
    device = rack.device(installed)
    before = device.must(["cat", "/proc/sys/kernel/random/boot_id"], "asking").text
    held(rack, installed, NEW_CONFIG)

    async def reboot() -> None:
        installed.device.reboot()

    rack.do(reboot())

    def is_back() -> bool:
        try:
            return device.ask(["cat", "/proc/sys/kernel/random/boot_id"]).text not in ("", before)
        except DeviceError:
            return False

    wait_until("the device is back", is_back)
    service = Service(device, ROOT)
    assert service.start(observe=True)["config_hash"] == config_hash(encode_config(OLD_CONFIG))
    assert config(rack, installed) == encode_config(OLD_CONFIG)
    service.stop()


@pytest.mark.root("starts a daemon that observes")
@pytest.mark.parametrize(("boot", "left"), [("", 3600.0), (None, -1.0)])
def test_the_daemon_itself_goes_back_before_it_guards(tmp_path: Path, boot: str | None, left: float) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    (root / "config.bin").write_bytes(b"\xff not a config: it would refuse to start with it")
    (root / "config.previous").write_bytes(encode_config(OLD_CONFIG))
    waiting = Pending("x", boot_id() if boot is None else boot, boottime_s() + left)
    (root / "config.pending").write_bytes(encode_pending(waiting))
    words = [sys.executable, "-m", "lmkd_py.daemon", "run", "--observe", "--root", str(root)]
    with subprocess.Popen(
        words, cwd=REPO_ROOT, stdout=subprocess.PIPE, env={**os.environ, "PATH": "/usr/bin"}
    ) as daemon:
        assert daemon.stdout is not None
        said = daemon.stdout.readline()
        assert b"the former config.bin is back" in said
        while not said.startswith(b"armed:"):
            said = daemon.stdout.readline()
            assert said
        daemon.terminate()
    assert (root / "config.bin").read_bytes() == encode_config(OLD_CONFIG)
    assert not (root / "config.pending").exists()
