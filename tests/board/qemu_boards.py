"""Emulated boards for tests: one at a time, each with a way in over ADB and the daemon's host side at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmkd_py.board.qemu.machine import BOOT_S, LISTENS, QemuBoard
from lmkd_py.board.qemu.stage import Stage
from lmkd_py.core.config import BY_RAM, Config, GuaranteeConfig, MonitorConfig, PolicyConfig, StrikeConfig
from lmkd_py.host.adb.keys import public_keys
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush
from lmkd_py.host.connect import Connector
from lmkd_py.host.device import Device
from lmkd_py.host.install import INSTALL, Installation
from lmkd_py.host.payload import payload
from lmkd_py.host.service import Service
from lmkd_py.host.steps import run_steps
from lmkd_py.host.targets import Target
from lmkd_py.host.tree import Tree
from tests.support import wait_until

STATE_ROOT = "/var/lib/lmkd_py"
PAYLOAD = payload()


class ArmBoard:
    """A board of a profile whose files lie in `folder`; it comes again with its disk after a power cut."""

    def __init__(self, folder: Path, profile: str = "board") -> None:
        self.folder, self.profile = folder, profile
        self.keys = public_keys(folder / "adbkey")
        self.machine = QemuBoard(profile, folder / profile, keys=self.keys)
        self._opened: list[Device] = []

    def device(self, retries: int = 3) -> Device:
        """A new connection to the board."""
        connector = Connector(ServerAddress("127.0.0.1", 1), self.folder / "adbkey", 600.0, retries)
        opened = connector.device(Target(self.machine.address, via_server=False))
        self._opened.append(opened)
        return opened

    def shell(self, command: str) -> str:
        """Output of a shell command that must succeed."""
        device = self.device()
        try:
            return device.must(["sh", "-c", command], command).text
        finally:
            device.close()

    def stage(self) -> Stage:
        """The board's applications."""
        return Stage(self.shell)

    def reboot(self) -> None:
        """As `adb reboot` does it, and wait until it is up again."""
        known = self.machine.console().count(LISTENS)
        self._hang_up()
        self.shell("setsid sh -c 'sleep 1; sync; reboot -f' >/dev/null 2>&1 </dev/null &")
        self._hang_up()
        wait_until("it is up again", lambda: self.machine.console().count(LISTENS) > known, BOOT_S)

    def _hang_up(self) -> None:
        for device in self._opened:
            device.close()
        self._opened.clear()

    def power_cut(self) -> None:
        """Cut, and come again under the same address: that is what it is known by."""
        self._hang_up()
        self.machine.power_cut()
        self.machine = QemuBoard(self.profile, self.folder / self.profile, self.machine.port, keys=self.keys)

    def close(self) -> None:
        self._hang_up()
        self.machine.close()


def install(device: Device, tree: Tree = PAYLOAD, watch: Callable[[str], None] | None = None) -> Installation:
    """What `lmkctl install` does."""
    return run_steps(INSTALL, Installation(device, tree), watch)


def push(device: Device, config: Config, watch: Callable[[str], None] | None = None) -> ConfigPush:
    """What `lmkctl config push` does."""
    return run_steps(CONFIG_PUSH, ConfigPush(device, config, confirm_s=20.0), watch)


# With zram measured, kills begin when swap is nearly full. A host that is busy meanwhile stops one emulated CPU and not
# the other, and the kernel's OOM killer comes first. AOSP's estimate of free swap kills earlier. These boards show who
# dies and that each death is recorded; how few deaths suffice is no question of theirs.
EARLY = PolicyConfig(swap_compression_ratio=1)

# So much swap a hog leaves free where the question is not who is faster, and thrashes instead. The kernel's OOM killer
# acts when none is left, and a host that is busy makes the daemon of an emulated board late at any time.
SPARE_SWAP_MIB = 8


def without_boost(device: Device) -> None:
    """Turn off watermark boost, which the kernel's OOM killer counts and our policy does not.

    mm/page_alloc.c: should_reclaim_retry() asks for min_wmark_pages(), and that has the boost in it. With it the OOM
    killer acted at 4 to 6 MiB free on these boards, 2 MiB above the high watermark without boost.
    """
    device.must(["sh", "-c", "echo 0 >/proc/sys/vm/watermark_boost_factor"], "turning off watermark boost")


def wide_watermarks(device: Device) -> None:
    """Raise low and high watermark, as Android does, and leave min: the OOM killer acts below that one alone.

    Up to 1 % of memory and a page block, 4.5 MiB here, is free but kept for atomic allocations (mm/page_alloc.c:
    reserve_highatomic_pageblock()). The kernel's check leaves it out and no file tells how much it is, so that free
    memory as the policy sees it stayed at 5.6 MiB while tasks reclaimed, 2.8 MiB above the high watermark.
    """
    device.must(["sh", "-c", "echo 500 >/proc/sys/vm/watermark_scale_factor"], "raising the watermarks")


def guard(device: Device, observe: bool = False, reserve_kb: int = BY_RAM, **policy: int) -> Service:
    """Install the daemon, push a config and start it."""
    without_boost(device)
    service = install(device).service
    monitor = MonitorConfig(
        strike=StrikeConfig(answer_ms=500), guarantee=GuaranteeConfig(reserve_kb=reserve_kb)
    )  # emulated CPUs are slow, not stuck
    push(device, Config(EARLY._replace(**policy), monitor))
    service.start(observe=observe)
    return service


def assert_protected(board: ArmBoard, status: dict[str, Any], place: str) -> None:
    """Both processes are in this v2 cgroup right below the root, so that its memory.min counts, and it is about enough.

    Memory of their own and the pool are charged there; program and libraries to whoever read them first. The pool is
    locked: protection beyond the rest would keep the page cache of the trace.
    """
    steward, killer = status["steward_pid"], status["killer_pid"]
    place = f"/sys/fs/cgroup/{place}"
    assert sorted(map(int, board.shell(f"cat {place}/cgroup.procs").split())) == sorted((steward, killer))
    protected, charged = (
        int(line) >> 10 for line in board.shell(f"cat {place}/memory.min {place}/memory.current").split()
    )
    pool = _kb(board, steward, "VmLck")
    held = _kb(board, steward, "RssAnon") - pool + _kb(board, killer, "RssAnon")
    assert abs(protected - held) <= 4096, (held, protected, charged, pool)
    assert charged >= pool + _kb(board, killer, "RssAnon")


def _kb(board: ArmBoard, pid: int, field: str) -> int:
    return int(board.shell(f"grep ^{field}: /proc/{pid}/status").split()[1])
