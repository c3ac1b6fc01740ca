"""A board on which killers are tried: booted once, and restored from its snapshot for each run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmkd_py.board.qemu.guest import run_trial
from lmkd_py.board.qemu.machine import QemuBoard
from lmkd_py.board.qemu.profile import PROFILES, Profile
from lmkd_py.board.scenario import APPS
from lmkd_py.core.config import DEFAULTS, Config
from lmkd_py.host.adb.keys import public_keys
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush
from lmkd_py.host.connect import Connector
from lmkd_py.host.device import Device
from lmkd_py.host.errors import DeviceError
from lmkd_py.host.install import INSTALL, Installation
from lmkd_py.host.payload import payload
from lmkd_py.host.push import push_atomic
from lmkd_py.host.scripts import script
from lmkd_py.host.service import Service
from lmkd_py.host.steps import run_steps
from lmkd_py.host.targets import Target
from tools.outcome.killers import Killer, packages

OUT = "/tmp/trial.json"
APPS_SLICE = "/sys/fs/cgroup/apps.slice"
THEIRS = "/data/killers"
# $1 the file of the outcome, $2 the module, $3 the order
_START = """rm -f "$1"; cd /tmp; export PYTHONPATH=/opt/lmkd; setsid python3 -m "$2" "$3" >"$1.log" 2>&1 </dev/null &
echo $! >"$1.pid" """
_LOOK = """if [ -f "$1" ]; then cat "$1"; elif kill -0 "$(cat "$1.pid")" 2>/dev/null; then echo running
else cat "$1.log"; fi"""
_ROOM = "awk '/^MemAvailable:|^SwapTotal:/ {sum += $2} END {print int(sum / 1024)}' /proc/meminfo"
_TRACES = 'find "$1/traces" -name "*.lmkt" -exec cat {} + 2>/dev/null | wc -c'
# What a board is made into before its snapshot is taken: the profile `board+noswap`, say.
CONDITIONS = {
    "noswap": "swapoff /dev/zram0",
    "diskswap": "swapoff /dev/zram0 && dd if=/dev/zero of=/data/swap bs=1M count=192 && mkswap /data/swap && "
    "swapon /data/swap",
    "mglru": "echo y >/sys/kernel/mm/lru_gen/enabled",
    "lru": "echo n >/sys/kernel/mm/lru_gen/enabled",
}
LIMIT_S = 120.0  # until a trial counts as not recovered
PATIENCE_S = 600.0
CONFIRM_S = 120.0  # a busy host makes a board slow


def profile_of(name: str) -> Profile:
    """Of PROFILE or PROFILE+CONDITION."""
    return PROFILES[name.partition("+")[0]]


def recovery_s(run: dict[str, Any]) -> float:
    """From when it got short to the last stall; -1 if the one in front never had all it wanted, or stalls went on."""
    if not (run["calm"] and run["done_s"]):
        return -1.0
    return max(0.0, run["last_stall_s"] - run["short_s"]) if run["short_s"] else 0.0


class Ground:
    """The board during one run."""

    def __init__(self, machine: QemuBoard, device: Device, root: str, room_mib: int) -> None:
        self.machine, self.device, self.room_mib = machine, device, room_mib
        self.service = Service(device, root)

    def run(self, killer: Killer, workload: str, seed: int) -> dict[str, Any]:
        """One trial: what guest/run_trial.py found, the bytes of our trace and the time until it recovered."""
        command = self._start(killer)
        order = {
            "workload": workload, "seed": seed, "killer": command, "marker": killer.marker,
            "register": killer.register, "apps": APPS, "room_mib": self.room_mib, "limit_s": LIMIT_S, "out": OUT,
            "cgroup": APPS_SLICE if self.machine.profile.systemd else "",
        }  # fmt: skip
        start = script(_START, OUT, run_trial.__name__, json.dumps(order))
        self.device.must(start, f"a trial of {killer.name}")
        found = self._outcome(killer)
        if killer.policy is not None:
            self.service.stop()
        traced = self.device.must(script(_TRACES, self.service.layout.root), "looking at the traces").text
        return {**found, "recovery_s": recovery_s(found), "trace_bytes": int(traced), "room_mib": self.room_mib}

    def _start(self, killer: Killer) -> tuple[str, ...]:
        """Start it if the trial does not; the command line with which the trial does."""
        if self.machine.profile.systemd:
            self.device.must(["systemctl", "start", "apps.slice"], "making a place for the applications")
        if killer.prepare:
            self.device.must(["sh", "-c", killer.prepare], f"preparing {killer.name}")
        if killer.policy is not None:
            config = Config(killer.policy, DEFAULTS.monitor)
            run_steps(CONFIG_PUSH, ConfigPush(self.device, config, confirm_s=CONFIRM_S))
            self.service.start(observe=False)
        elif killer.unit:
            self.device.must(["systemctl", "start", killer.unit], f"starting {killer.unit}")
        program = Path(killer.command[0]) if killer.command else None
        if program is not None and not killer.package and program.is_file():
            there = f"{THEIRS}/{program.name}"  # a program of this machine's, for the board's
            push_atomic(self.device, program.read_bytes(), there, 0o755)
            return (there, *killer.command[1:])
        return killer.command

    def _outcome(self, killer: Killer) -> dict[str, Any]:
        # Asked for now and then, and again: a board that thrashes may be silent for longer than a connection waits.
        deadline = time.monotonic() + PATIENCE_S
        said = "nothing"
        while time.monotonic() < deadline:
            time.sleep(2.0)
            try:
                said = self.device.must(script(_LOOK, OUT), "looking for its outcome").text.strip()
            except DeviceError as error:
                said = str(error)
                continue
            if said.startswith("{"):
                found: dict[str, Any] = json.loads(said)
                return found
            if said != "running":
                break
        raise RuntimeError(f"the trial of {killer.name} came to nothing: {said[-400:]}")


class Field:
    """The snapshot of a board of this profile, or PROFILE+CONDITION, in `folder`; every run begins there."""

    def __init__(self, folder: Path, profile: str, say: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._say = folder, say
        self.profile, _, condition = profile.partition("+")
        self._packages = packages(profile_of(profile).systemd)
        self._keys = public_keys(folder / "adbkey")
        with QemuBoard(self.profile, folder / "first", say=say, packages=self._packages, keys=self._keys) as machine:
            self.versions = machine.versions
            device = self._connect(machine)
            if condition:
                device.must(["sh", "-c", CONDITIONS[condition]], f"making it {condition}", timeout_s=PATIENCE_S)
            self.room_mib = int(device.must(["sh", "-c", _ROOM], "asking for its room").text)
            installed = run_steps(INSTALL, Installation(device, payload()))
            self._root = installed.service.layout.root
            device.close()
            self._snapshot = machine.save(folder / "snapshot")

    def _connect(self, machine: QemuBoard) -> Device:
        connector = Connector(ServerAddress("127.0.0.1", 1), self.folder / "adbkey", 3600.0)
        return connector.device(Target(machine.address, via_server=False))

    @contextmanager
    def ground(self) -> Iterator[Ground]:
        """The board as it was saved; gone afterwards."""
        place = self.folder / "run"
        with QemuBoard(
            self.profile, place, snapshot=self._snapshot, say=self._say, packages=self._packages, keys=self._keys
        ) as machine:
            device = self._connect(machine)
            try:
                yield Ground(machine, device, self._root, self.room_mib)
            finally:
                device.close()

    def run(self, killer: Killer, workload: str, seed: int = 0) -> dict[str, Any]:
        """One run from the snapshot on: see Ground.run()."""
        with self.ground() as ground:
            return ground.run(killer, workload, seed)
