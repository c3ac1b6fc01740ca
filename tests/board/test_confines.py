"""A virtual device guards its own memory: whatever was pushed, left over or asked of its daemon by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.board.adbd import space
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.board.virtual_device import VirtualDevice
from lmkd_py.core.config import Config, DomainKind, GuaranteeConfig, MonitorConfig, with_settings
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush, device_config
from lmkd_py.host.connect import Connector
from lmkd_py.host.device import Device
from lmkd_py.host.errors import DeviceError
from lmkd_py.host.install import INSTALL, Installation
from lmkd_py.host.payload import payload
from lmkd_py.host.scripts import script
from lmkd_py.host.service import Service
from lmkd_py.host.steps import run_steps
from lmkd_py.host.targets import Target
from lmkd_py.host.watch import look_at
from lmkd_py.wire.config import decode_config, encode_config
from lmkd_py.wire.confines import MARK
from tests.support import needs_cgroup, wait_until

LIMIT_MIB = 96
CAREFUL = MonitorConfig(guarantee=GuaranteeConfig(rt_priority=0, lock_memory=0))


def test_both_sides_know_the_mark_by_one_name() -> None:
    assert f"/{space.MARK}" == MARK


class Phone:
    """A virtual device with a sandbox behind it, and the daemon's files on it."""

    def __init__(self, board: Sandbox, device: VirtualDevice, host: Device) -> None:
        self.board, self.device, self.host = board, device, host
        installed = run_steps(INSTALL, Installation(host, payload()))
        self.service: Service = installed.service
        self.config = Path(device.state_root()) / "config.bin"

    def domain(self) -> str:
        """What the armed daemon says it guards."""
        log = (Path(self.device.state_root()) / "log").read_text()
        return [line for line in log.splitlines() if line.startswith("domain ")][-1]

    def by_hand(self, *words: str) -> tuple[int, str]:
        """The daemon as somebody types it into the device's shell."""
        run = 'PYTHONPATH=$(readlink -f "$1/current") exec timeout 60 python3 -B -m lmkd_py.daemon "$2" --root "$1"'
        done = self.host.run(script(run, self.service.layout.root, *words), root=True, timeout_s=90)
        return done.rc, done.complaint


@pytest.fixture
def phone(make_board: Callable[..., Sandbox], spaces: None, tmp_path: Path) -> Iterator[Phone]:
    board = make_board(LIMIT_MIB)
    with VirtualDevice(str(tmp_path / "device"), board, name="phone") as device:
        host = Connector(ServerAddress("127.0.0.1", 1)).device(Target(device.address, False))
        try:
            yield Phone(board, device, host)
        finally:
            host.close()


@needs_cgroup
def test_the_daemon_on_a_virtual_device_never_takes_the_hosts_memory(phone: Phone) -> None:
    board, service = phone.board, phone.service
    whole = encode_config(Config(monitor=with_settings(CAREFUL, domain={"kind": DomainKind.SYSTEM})))
    other = encode_config(
        Config(monitor=with_settings(CAREFUL, domain={"kind": board.place.kind, "path": "/sys/fs/cgroup/memory"}))
    )
    # By hand, with what an earlier push or an earlier board left over.
    for left in (whole, other):
        phone.config.write_bytes(left)
        for verb in ("run", "check"):
            code, said = phone.by_hand(verb)
            assert code == 2
            assert "wanted this virtual device's own memory" in said
    phone.config.unlink()
    assert phone.by_hand("check")[0] == 0  # the defaults are the device's own memory there
    # start and restart mend it, whatever was left over.
    for begin in (service.start, service.restart):
        phone.config.write_bytes(other)
        assert begin(False)["armed"] == 1
        assert board.place.memory in phone.domain()
        assert decode_config(phone.config.read_bytes()).monitor.domain.path == board.place.memory
    # A push of the whole system guards the device, too, and a file put there by hand is not taken.
    pushed = run_steps(
        CONFIG_PUSH, ConfigPush(phone.host, Config(monitor=with_settings(CAREFUL, discovery={"scan_min_adj": 7})))
    )
    assert pushed.config.monitor.domain.path == board.place.memory
    assert device_config(phone.host, "").monitor.domain.path == board.place.memory
    phone.config.write_bytes(whole)
    assert "wanted this virtual device's own memory" in _reload(phone)
    service.stop()
    # The device boots: its memory is still the same, and so is its mark.
    before = phone.host.must(["cat", "/proc/sys/kernel/random/boot_id"], "asking").text
    phone.host.run("setsid sh -c 'sleep 0.1' & exit 0")
    _reboot(phone, before)
    assert service.start(False)["armed"] == 1
    assert board.place.memory in phone.domain()
    look = look_at(phone.host, device_config(phone.host, "").monitor)
    assert look.where == board.place.memory
    assert look.kb["MemTotal"] == LIMIT_MIB << 10
    assert 0 < look.kb["MemAvailable"] <= look.kb["MemTotal"]
    service.stop()


def _reload(phone: Phone) -> str:
    ask = """PYTHONPATH=$(readlink -f "$1/current") python3 -c '
import json, sys
from lmkd_py.ondevice.daemon import ask
from lmkd_py.wire.control import Verb
print(json.dumps(ask(sys.argv[1], Verb.RELOAD)))' "$1" """
    said = json.loads(phone.host.must(script(ask, phone.service.layout.root), "reloading").text)
    assert said["ok"] == 0
    return str(said["text"])


def _reboot(phone: Phone, before: str) -> None:
    from lmkd_py.host.adb.link import LinkError

    link = phone.host._connect(float("inf"))
    try:
        link.open("reboot:")
    except LinkError:
        pass
    link.close()
    phone.host.close()

    def is_back() -> bool:
        try:
            return phone.host.ask(["cat", "/proc/sys/kernel/random/boot_id"]).text not in ("", before)
        except DeviceError:
            return False

    wait_until("the phone is back", is_back)
