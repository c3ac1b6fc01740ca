"""Every step of installing, pushing a config and collecting is cut off: by cable, by power, by Ctrl-C.

The steps are those of the code's own registries, so a new one is cut off as soon as it exists. What must hold: the
device has the old or the new, whole, never none; the next run completes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.core.config import Config, DiscoveryConfig, GuaranteeConfig, MonitorConfig, PolicyConfig, with_settings
from lmkd_py.host.collect import COLLECT, Collection
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush
from lmkd_py.host.device import Device
from lmkd_py.host.errors import DeviceError
from lmkd_py.host.install import INSTALL, Installation
from lmkd_py.host.payload import payload
from lmkd_py.host.service import Service
from lmkd_py.host.steps import Step, run_steps
from lmkd_py.host.tree import Tree
from lmkd_py.wire.config import config_hash, encode_config
from tests.host.conftest import Rack
from tests.host.test_collect import collected, frames, put
from tests.support import in_soak, wait_until

ROOT = "/data/adb/lmkd_py"
CONFIRM_S = 60.0  # longer than any stall of a loaded machine: these tests do not wait for it
# It guards the whole machine that the tests run on: it only looks, and takes little.
WATCHING = MonitorConfig(
    guarantee=GuaranteeConfig(rt_priority=0, lock_memory=0),
    discovery=DiscoveryConfig(scan_min_adj=1000, sized_candidates=8),
    observe=1,
)
OLD_CONFIG, NEW_CONFIG = (Config(PolicyConfig(lowmem_min_adj=adj), WATCHING) for adj in (801, 802))
PAYLOAD = payload()
NEWER = Tree({**PAYLOAD.files, "lmkd_py/newer.txt": b"1"})

pytestmark = pytest.mark.root("starts the daemon on a virtual device")


def names(steps: tuple[Step[Any], ...]) -> list[str]:
    return [step.name for step in steps]


def install(device: Device, tree: Tree = PAYLOAD, watch: Callable[[str], None] | None = None) -> Installation:
    return run_steps(INSTALL, Installation(device, tree), watch)


def push(device: Device, config: Config, watch: Callable[[str], None] | None = None) -> ConfigPush:
    return run_steps(CONFIG_PUSH, ConfigPush(device, config, confirm_s=CONFIRM_S), watch)


@pytest.fixture
def endpoint(rack: Rack) -> Endpoint:
    return rack.add()


@pytest.fixture
def guarded(rack: Rack, endpoint: Endpoint) -> Endpoint:
    """A device on which the daemon runs, observing."""
    device = rack.device(endpoint)
    install(device)
    push(device, OLD_CONFIG)
    Service(device, ROOT).start(observe=True)
    return endpoint


def cut(rack: Rack, endpoint: Endpoint, device: Device, how: str) -> None:
    """Interrupt the work in the way that `how` names."""
    if how == "ctrl-c":
        device.interrupt()
    elif how == "power":

        async def reboot() -> None:
            endpoint.device.reboot()

        rack.do(reboot())
        wait_until("the device has no client left", lambda: not endpoint.clients)
    else:
        device.close()
        endpoint.device.faults.drop_times = 1
        endpoint.device.faults.drop_after = int(how)


def cutting(rack: Rack, endpoint: Endpoint, device: Device, step: str, how: str) -> Callable[[str], None]:
    def watch(name: str) -> None:
        if name == step:
            cut(rack, endpoint, device, how)

    return watch


def attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except DeviceError:
        pass


def mend(endpoint: Endpoint) -> None:
    endpoint.device.faults.drop_after = 0
    wait_until("the device listens", lambda: endpoint._server is not None)


def release_there(rack: Rack, endpoint: Endpoint) -> str:
    """Digest of the release that `current` leads to, after looking at every file of it."""
    current = rack.path(endpoint, f"{ROOT}/current")
    target = rack.path(endpoint, f"{ROOT}/{current.readlink()}")
    found = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    found.pop("MANIFEST")
    return Tree({name: data for name, data in found.items() if "__pycache__" not in name}).digest


def armed(device: Device) -> bool:
    """Somebody is on guard: a pair, or a killer that waits for its next steward."""
    status = Service(device, ROOT).status()
    return bool(status.get("armed") or status.get("orphan"))


@pytest.mark.all_suite
def test_a_state_root_behind_a_link_is_upgraded_like_any_other(rack: Rack, endpoint: Endpoint) -> None:
    device = rack.device(endpoint)
    device.must("mkdir -p /data/real && ln -s /data/real /data/link", "making a link")
    root = "/data/link/lmkd_py"
    installed = run_steps(INSTALL, Installation(device, PAYLOAD, root))
    assert installed.changed
    run_steps(CONFIG_PUSH, ConfigPush(device, OLD_CONFIG, root=root, confirm_s=CONFIRM_S))
    service = Service(device, root)
    service.start(observe=True)
    compiled = device.must("find /data/real -name '*.pyc' -exec sha256sum {} +", "looking at the release").text
    assert not run_steps(INSTALL, Installation(device, PAYLOAD, root)).changed
    again = device.must("find /data/real -name '*.pyc' -exec sha256sum {} +", "looking at the release").text
    assert again == compiled
    sources = [name for name in PAYLOAD.files if name.endswith(".py")]
    assert len(compiled.splitlines()) == len(sources)  # all of it once, at installation, and never by the daemon
    ask = f'cd / && PYTHONPATH={root}/current {installed.python} -B -c "import lmkd_py.core as it; print(it.__doc__)"'
    assert device.must(ask, "looking for a docstring").text.strip() == "None"  # each costs memory, twice
    assert run_steps(INSTALL, Installation(device, NEWER, root)).changed
    assert service.status()["armed"] == 1
    service.stop()


CABLE = ["1200", "3000"]
ALL_WAYS = [*CABLE, "400", "20000", "power", "ctrl-c"]
LONG = [pytest.param(how, marks=pytest.mark.all_suite) for how in ALL_WAYS if how not in CABLE]
IN_CI = ["1200", "power", "ctrl-c"]
WAYS = [pytest.param(how, marks=pytest.mark.all_suite) if how in IN_CI else in_soak(how) for how in ALL_WAYS]


@pytest.mark.parametrize("step", names(INSTALL))
@pytest.mark.parametrize("how", WAYS)
def test_an_upgrade_cut_off_at_any_step_leaves_old_or_new_on_guard(
    rack: Rack, guarded: Endpoint, step: str, how: str
) -> None:
    device = rack.device(guarded, retries=0)
    attempt(lambda: install(device, NEWER, cutting(rack, guarded, device, step, how)))
    mend(guarded)
    assert release_there(rack, guarded) in (PAYLOAD.digest, NEWER.digest)
    device = rack.device(guarded)
    assert armed(device) or how == "power"
    install(device, NEWER)
    assert release_there(rack, guarded) == NEWER.digest
    if how != "power":
        assert Service(device, ROOT).status()["armed"] == 1
    Service(device, ROOT).stop()


@pytest.mark.all_suite
def test_an_upgrade_cut_off_while_it_switches_leaves_old_or_new_on_guard(rack: Rack, guarded: Endpoint) -> None:
    test_an_upgrade_cut_off_at_any_step_leaves_old_or_new_on_guard(rack, guarded, "activate", "1200")


@pytest.mark.parametrize("step", names(CONFIG_PUSH))
@pytest.mark.parametrize("how", WAYS)
def test_a_config_push_cut_off_at_any_step_leaves_old_or_new_in_force(
    rack: Rack, guarded: Endpoint, step: str, how: str
) -> None:
    device = rack.device(guarded, retries=0)
    attempt(lambda: push(device, NEW_CONFIG, cutting(rack, guarded, device, step, how)))
    mend(guarded)
    data = rack.path(guarded, f"{ROOT}/config.bin").read_bytes()
    assert data in (encode_config(OLD_CONFIG), encode_config(NEW_CONFIG))
    device = rack.device(guarded)
    assert armed(device) or how == "power"
    push(device, NEW_CONFIG)
    assert rack.path(guarded, f"{ROOT}/config.bin").read_bytes() == encode_config(NEW_CONFIG)
    assert not rack.path(guarded, f"{ROOT}/config.pending").exists()
    if how != "power":
        assert Service(device, ROOT).status()["config_hash"] == config_hash(encode_config(NEW_CONFIG))
    Service(device, ROOT).stop()


@pytest.mark.parametrize("step", ["apply the config", "confirm"])
def test_a_config_push_cut_off_while_it_changes_anything_leaves_old_or_new_in_force(
    rack: Rack, guarded: Endpoint, step: str
) -> None:
    test_a_config_push_cut_off_at_any_step_leaves_old_or_new_in_force(rack, guarded, step, "1200")


@pytest.mark.parametrize("step", names(COLLECT))
@pytest.mark.parametrize("how", [*CABLE, *LONG])
def test_a_collection_cut_off_at_any_step_loses_and_doubles_nothing(
    rack: Rack, endpoint: Endpoint, tmp_path: Path, step: str, how: str
) -> None:
    whole = frames(0, 400)
    put(rack, whole)
    device = rack.device(endpoint, retries=0)
    watch = cutting(rack, endpoint, device, step, how)
    attempt(lambda: run_steps(COLLECT, Collection(device, tmp_path / "out"), watch))
    mend(endpoint)
    put(rack, frames(400, 10))
    run_steps(COLLECT, Collection(rack.device(endpoint), tmp_path / "out"))
    assert list(collected(tmp_path / "out").values()) == [whole + frames(400, 10)]


def test_a_config_that_is_not_confirmed_in_time_goes_back_by_itself(rack: Rack, guarded: Endpoint) -> None:
    device = rack.device(guarded)
    run_steps(CONFIG_PUSH, ConfigPush(device, NEW_CONFIG, confirm_s=5.0, hold=True))
    place = rack.path(guarded, f"{ROOT}/config.bin")
    assert place.read_bytes() == encode_config(NEW_CONFIG)
    wait_until("the former config is back", lambda: place.read_bytes() == encode_config(OLD_CONFIG))
    service = Service(device, ROOT)
    former = config_hash(encode_config(OLD_CONFIG))
    wait_until("the daemon uses it", lambda: service.status()["config_hash"] == former)
    with pytest.raises(DeviceError, match="no push is waiting"):
        service.call("confirm", "")
    service.stop()


def test_a_config_the_daemon_refuses_leaves_the_old_one_armed_and_says_why(rack: Rack, guarded: Endpoint) -> None:
    device = rack.device(guarded)
    gone = NEW_CONFIG._replace(monitor=with_settings(WATCHING, domain={"kind": 1, "path": "/no/such/cgroup"}))
    with pytest.raises(DeviceError, match="/no/such/cgroup"):
        push(device, gone)
    assert rack.path(guarded, f"{ROOT}/config.bin").read_bytes() == encode_config(OLD_CONFIG)
    service = Service(device, ROOT)
    status = service.status()
    assert (status["armed"], status["config_hash"]) == (1, config_hash(encode_config(OLD_CONFIG)))
    service.stop()


def test_a_release_that_does_not_arm_itself_is_taken_back(rack: Rack, guarded: Endpoint) -> None:
    device = rack.device(guarded)
    broken = dict(PAYLOAD.files)
    broken["lmkd_py/daemon/start.py"] = b"raise RuntimeError('broken release')\n"
    with pytest.raises(DeviceError, match=r"broken release|former one is back"):
        install(device, Tree(broken))
    assert release_there(rack, guarded) == PAYLOAD.digest
    assert Service(device, ROOT).status()["armed"] == 1
    Service(device, ROOT).stop()


@pytest.mark.all_suite
def test_installing_twice_changes_nothing(rack: Rack, endpoint: Endpoint) -> None:
    device = rack.device(endpoint)
    assert install(device).changed
    assert not install(device).changed


@pytest.mark.all_suite
def test_old_releases_go_and_the_previous_stays(rack: Rack, endpoint: Endpoint) -> None:
    device = rack.device(endpoint)
    trees = [Tree({**PAYLOAD.files, "lmkd_py/n.txt": bytes([48 + number])}) for number in range(3)]
    for tree in trees:
        install(device, tree)
    there = {path.name for path in rack.path(endpoint, f"{ROOT}/releases").iterdir()}
    assert there == {tree.digest[:16] for tree in trees[1:]}
