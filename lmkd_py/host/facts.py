"""What a device is: asked once, by one command that every shell understands. Nothing it says is believed unchecked."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.config import Config
from ..wire.confines import MARK, Confines, decode_confines, inside
from .device import Device
from .scripts import script

ANDROID_ROOT = "/data/adb/lmkd_py"
BOARD_ROOT = "/var/lib/lmkd_py"

_PROPERTIES = ("ro.product.model", "ro.product.cpu.abi", "ro.build.version.sdk", "sys.boot_completed")
_ASK = f"""echo "machine=$(uname -m)"; echo "kernel=$(uname -r)"; echo "host=$(uname -n)"
[ -f {MARK} ] && {{ echo virtual=1; n=0; while read -r v; do n=$((n+1)); echo "domain_$n=$v"; done <{MARK}; }}
[ -d /data/adb ] && echo android_root=1; [ -d /run/systemd/system ] && echo systemd=1
while read -r k v _; do
case $k in MemTotal:) echo "ram_kb=$v";; SwapTotal:) echo "swap_kb=$v";; esac; done </proc/meminfo
command -v getprop >/dev/null && for p in {" ".join(_PROPERTIES)}; do echo "$p=$(getprop $p)"; done; exit 0"""

_ABIS = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64", "armv8l": "arm", "armv7l": "arm", "i686": "x86"}


@dataclass(frozen=True, slots=True)
class Facts:
    """Answers by name; a missing one is empty."""

    said: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """A fact as a number; 0 where it is missing."""
        text = self.said.get(name, "")
        return int(text) if text.isdecimal() and len(text) < 16 else 0

    @property
    def is_android(self) -> bool:
        """Whether the device has Android's property service."""
        return bool(self.said.get("ro.build.version.sdk"))

    @property
    def is_booting(self) -> bool:
        """Whether it is an Android that has not finished booting."""
        return self.is_android and self.said.get("sys.boot_completed") != "1"

    @property
    def has_systemd(self) -> bool:
        return self.said.get("systemd") == "1"

    @property
    def state_root(self) -> str:
        """Where the daemon's files lie; docs/boards.md tells people."""
        return ANDROID_ROOT if self.said.get("android_root") == "1" else BOARD_ROOT

    @property
    def confines(self) -> Confines | None:
        """The memory of a virtual device; None on every other one."""
        if self.said.get("virtual") != "1":
            return None
        return decode_confines("\n".join(self.said.get(f"domain_{number}", "") for number in (1, 2, 3)))

    def in_its_domain(self, config: Config) -> Config:
        """The config as the device's daemon takes it: a virtual device guards its own memory, whatever was asked."""
        return inside(config, self.confines)

    @property
    def abi(self) -> str:
        """arm64, arm, x86_64, x86; what uname says where that is none of them."""
        machine = self.said.get("machine", "")
        return _ABIS.get(machine, machine or "unknown")

    @property
    def device_class(self) -> str:
        """ABI, the RAM that its maker would print on the box, and whether it swaps: `arm64-4g-swap`."""
        ram_mib = self.number("ram_kb") // 1024
        size = 128
        while size < ram_mib and size < 1 << 20:
            size *= 2
        if 0.8 * 0.75 * size >= ram_mib > 0 and size >= 4096:  # 3, 6, 12 GiB are sold, too
            size = size * 3 // 4
        words = f"{size // 1024}g" if size >= 1024 else f"{size}m"
        return f"{self.abi}-{words}{'-swap' if self.number('swap_kb') else ''}"


def facts_of(device: Device) -> Facts:
    """Ask the device, with one command."""
    result = device.ask(script(_ASK), timeout_s=20.0, limit=1 << 16)
    pairs = (line.partition("=") for line in result.text.splitlines()[:64])
    return Facts({name: value.strip()[:500] for name, _, value in pairs})
