"""What a device is: asked once, by one command that every shell understands. Nothing it says is believed unchecked."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.config import Config, DomainKind
from .device import Device
from .scripts import script

ANDROID_ROOT = "/data/adb/lmkd_py"
BOARD_ROOT = "/var/lib/lmkd_py"

# A device may name the memory domain that its daemon guards in place of the whole system: a virtual one does.
_DOMAIN = ("ro.lmkd_py.domain_kind", "ro.lmkd_py.domain_path", "ro.lmkd_py.domain_psi_path")
_PROPERTIES = ("ro.product.model", "ro.product.cpu.abi", "ro.build.version.sdk", "sys.boot_completed", *_DOMAIN)
_ASK = f"""echo "machine=$(uname -m)"; echo "kernel=$(uname -r)"; echo "host=$(uname -n)"
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
        """A counted fact; 0 when there is none."""
        text = self.said.get(name, "")
        return int(text) if text.isdecimal() and len(text) < 16 else 0

    @property
    def is_android(self) -> bool:
        """It has Android's property service."""
        return bool(self.said.get("ro.build.version.sdk"))

    @property
    def is_booting(self) -> bool:
        """Android that has not come up yet."""
        return self.is_android and self.said.get("sys.boot_completed") != "1"

    @property
    def has_systemd(self) -> bool:
        """systemd runs."""
        return self.said.get("systemd") == "1"

    @property
    def state_root(self) -> str:
        """Where the daemon's files lie, see design.md section 10."""
        return ANDROID_ROOT if self.said.get("android_root") == "1" else BOARD_ROOT

    def in_its_domain(self, config: Config) -> Config:
        """The config, guarding the domain that the device names if it names one and the config none."""
        kind, path, psi = self.number(_DOMAIN[0]), self.said.get(_DOMAIN[1], ""), self.said.get(_DOMAIN[2], "")
        monitor = config.monitor
        if monitor.domain_kind != DomainKind.SYSTEM or kind not in (DomainKind.MEMCG_V1, DomainKind.CGROUP_V2):
            return config
        return config._replace(monitor=monitor._replace(domain_kind=kind, domain_path=path, domain_psi_path=psi))

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
    """Ask the device."""
    result = device.ask(script(_ASK), timeout_s=20.0, limit=1 << 16)
    pairs = (line.partition("=") for line in result.text.splitlines()[:64])
    return Facts({name: value.strip()[:200] for name, _, value in pairs})
