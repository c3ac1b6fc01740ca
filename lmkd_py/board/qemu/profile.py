"""How large a virtual board is and what it runs."""

from __future__ import annotations

from dataclasses import dataclass

QEMU = "qemu-system-aarch64"


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of board. `android`: it has Android's directories, properties and commands. `systemd`: its init, and
    memory cgroups of version 2. `reaps`: its kernel has process_mrelease."""

    ram_mib: int
    swap_mib: int
    cpus: int
    kernel: str  # of image.KERNELS, or image.LAB
    android: bool = False
    systemd: bool = False
    reaps: bool = True

    def __str__(self) -> str:
        kind = "Android-like, " if self.android else "systemd, " if self.systemd else ""
        cpus = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        return f"{kind}{self.ram_mib} MiB, {self.swap_mib} MiB of zram, {cpus}, kernel {self.kernel}"


PROFILES = {
    "small": Profile(128, 96, 1, "6.1"),
    "board": Profile(256, 192, 2, "6.1"),
    "old": Profile(256, 192, 2, "5.10", reaps=False),  # Android 12's: BPF without compare-exchange
    "new": Profile(256, 192, 2, "6.12"),  # MGLRU, and no v1 memory cgroups
    "lab": Profile(256, 192, 2, "lab"),  # allocations fail on demand; make lab-kernels
    "systemd": Profile(512, 384, 2, "6.1", systemd=True),
    "phone": Profile(4096, 3072, 2, "6.1", android=True),
}
DEFAULT_PROFILE = "board"
