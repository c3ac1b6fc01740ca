"""A virtual ARM board as a process of ours: QEMU, its console log, its ADB port on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ..adbd.linux import PR_SET_PDEATHSIG, prctl
from ..debs import PackageError
from ..errors import SandboxError
from ..virtual_device import wait_answers
from . import image

QEMU = "qemu-system-aarch64"
GUEST_PORT = 5600
CROWD = ("python3", "-m", "lmkd_py.board.qemu.guest.crowd")  # starts applications on the board; then their words
BOOT_S = 240.0  # emulation on a busy machine; a quiet one takes 8 s


@dataclass(frozen=True, slots=True)
class Profile:
    """How large a board is and what it runs."""

    ram_mib: int
    swap_mib: int
    cpus: int
    kernel: str  # of image.KERNELS

    def __str__(self) -> str:
        return f"{self.ram_mib} MiB, {self.swap_mib} MiB of zram, kernel {self.kernel}"


PROFILES = {
    "small": Profile(128, 96, 1, "6.1"),
    "board": Profile(256, 192, 2, "6.1"),
    "new": Profile(256, 192, 2, "6.12"),  # MGLRU, and no v1 memory cgroups
    "phone": Profile(4096, 3072, 2, "6.1"),
}

DEFAULT_PROFILE = "board"


class QemuBoard:
    """Boots when made; `address` speaks ADB then. SandboxError says what is missing or what the console said last."""

    def __init__(self, profile: str, log: Path, port: int = 0, boot_s: float = BOOT_S) -> None:
        if profile not in PROFILES:
            raise SandboxError(f"profile {profile!r}; wanted one of {', '.join(PROFILES)}")
        if not shutil.which(QEMU):
            raise SandboxError(f"{QEMU} is not here; run: sudo apt-get install --no-install-recommends qemu-system-arm")
        self.profile, self.log = PROFILES[profile], log
        try:
            kernel, base = image.base(self.profile.kernel)
        except PackageError as error:
            raise SandboxError(f"the board's packages: {error}") from error
        self._initrd = log.with_suffix(".cpio")
        init = Path(__file__).with_name("init.sh").read_bytes()
        self._initrd.write_bytes(base.read_bytes() + image.overlay(init))
        self.port = port or _free_port()
        self.address = f"127.0.0.1:{self.port}"
        with log.open("wb") as console:
            self.process = subprocess.Popen(
                self._command(kernel),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_us,
            )
        try:
            self._wait_up(boot_s)
        except BaseException:
            self.close()
            raise
        self._initrd.unlink()

    def _command(self, kernel: Path) -> list[str]:
        profile = self.profile
        words = f"console=ttyAMA0 rdinit=/init psi=1 panic=-1 loglevel=4 random.trust_cpu=on lmkd.port={GUEST_PORT}"
        forward = f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:{GUEST_PORT}"
        # fmt: off
        return [
            QEMU, "-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-smp", str(profile.cpus),
            "-m", str(profile.ram_mib), "-accel", "tcg,thread=multi,tb-size=256",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", str(kernel), "-initrd", str(self._initrd),
            "-append", f"{words} lmkd.swap_mib={profile.swap_mib}",
            "-netdev", forward, "-device", "virtio-net-pci,netdev=n0,romfile=",
        ]
        # fmt: on

    def _wait_up(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SandboxError(f"the board ended with code {self.process.returncode}: {self.last_words()}")
            try:
                # QEMU takes the connection long before anybody listens behind it, and hangs up then.
                wait_answers(self.address, 10.0)
                return
            except SandboxError:
                time.sleep(0.2)
        raise SandboxError(f"the board does not answer after {patience_s:g} s: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its console."""
        lines = self.log.read_text(errors="backslashreplace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "its console is silent")

    def console(self) -> str:
        """All that the board's console said."""
        return self.log.read_text(errors="backslashreplace")

    def power_cut(self) -> None:
        """It is gone at once, in the middle of whatever it did."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.power_cut()
        self._initrd.unlink(missing_ok=True)

    def __enter__(self) -> QemuBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end_with_us() -> None:
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port >= GUEST_PORT:
            return port
