"""A virtual ARM board as a process of ours: QEMU, its console log, its disk, its ADB port on loopback."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ...host.adb.keys import KeyFileError, public_keys
from ..adbd.linux import PR_SET_PDEATHSIG, prctl
from ..debs import PackageError, Say, to_stderr
from ..errors import SandboxError
from ..ports import free_port
from ..virtual_device import wait_answers
from . import image
from .profile import PROFILES, QEMU
from .qmp import Qmp
from .snapshot import BoardSnapshot

GUEST_PORT = 5600
BOOT_S = 240.0  # emulation on a busy machine; a quiet one takes 8 s
DISK_MIB = 256
PANIC = "Kernel panic"
KERNEL_IS_UP, LISTENS = "\nboard: kernel ", "\nlistening "  # of init, and of the endpoint


class QemuBoard:
    """Boots when made, or goes on where a snapshot was taken; `address` speaks ADB then.

    `place`: the path before .console, .disk and .cpio, its files. A disk that is there is kept, so that a
    board can come again after a power cut. `packages`: of Debian, on it besides. `versions`: of all its packages.
    `keys`: lines of an adbkey.pub; who has one of them is let in (default: this user's own, made if there is none).
    A snapshot knows the keys of the board that was saved.
    SandboxError says what is missing or what the console said last.
    """

    def __init__(
        self,
        profile: str,
        place: Path,
        port: int = 0,
        boot_s: float = BOOT_S,
        snapshot: BoardSnapshot | None = None,
        say: Say = to_stderr,
        packages: Sequence[str] = (),
        keys: Sequence[bytes] | None = None,
    ) -> None:
        if profile not in PROFILES:
            raise SandboxError(f"profile {profile!r}; wanted one of {', '.join(PROFILES)}")
        if not shutil.which(QEMU):
            raise SandboxError(f"{QEMU} is not here; run: sudo apt-get install --no-install-recommends qemu-system-arm")
        self.profile_name, self.profile = profile, PROFILES[profile]
        self.log, self.disk, self._initrd = (Path(f"{place}{part}") for part in (".console", ".disk", ".cpio"))
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.qmp = Qmp()
        incoming: list[str] = []
        try:
            kernel, base = image.base(self.profile.kernel, self.profile.systemd, GUEST_PORT, say)
            extra, versions = image.extra(packages, say) if packages else (b"", {})
            self.versions = {**image.versions(self.profile.systemd), **versions}
        except PackageError as error:
            raise SandboxError(f"the board's packages: {error}") from error
        if snapshot is None:
            init = Path(__file__).with_name("init.sh").read_bytes()
            self._initrd.write_bytes(base.read_bytes() + image.overlay(init, _lines(keys)) + extra)
            if not self.disk.exists():
                make_disk(self.disk)
        else:
            snapshot.unpack(self.disk, self._initrd)
            incoming = ["-incoming", f"exec:cat {shlex.quote(str(snapshot.state))}"]
        say(f"starting the emulator: {self.profile}" + (", where it was saved" if snapshot else ""))
        former = self.console() if self.log.exists() else ""
        with self.log.open("ab") as console:
            self.process = subprocess.Popen(
                [*self._command(kernel), *incoming],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=[self.qmp.theirs.fileno()],
                preexec_fn=_end_with_us,
            )
        try:
            if snapshot is not None:
                self.qmp.go_on()
            self._wait_up(boot_s, say, former, snapshot is not None)
        except BaseException:
            self.close()
            raise

    def _command(self, kernel: Path) -> list[str]:
        profile = self.profile
        words = f"console=ttyAMA0 rdinit=/init psi=1 panic=5 loglevel=4 random.trust_cpu=on lmkd.port={GUEST_PORT}"
        forward = f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:{GUEST_PORT}"
        # fmt: off
        return [
            QEMU, "-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-smp", str(profile.cpus),
            "-m", str(profile.ram_mib), "-accel", "tcg,thread=multi,tb-size=256",
            "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-chardev", f"socket,id=q0,fd={self.qmp.theirs.fileno()}", "-mon", "chardev=q0,mode=control",
            "-kernel", str(kernel), "-initrd", str(self._initrd),
            "-append", f"{words} lmkd.swap_mib={profile.swap_mib} lmkd.android={int(profile.android)}",
            "-netdev", forward, "-device", "virtio-net-pci,netdev=n0,romfile=",
            "-drive", f"file={_escaped(self.disk)},if=none,id=d0,format=raw", "-device", "virtio-blk-pci,drive=d0",
        ]
        # fmt: on

    def _wait_up(self, patience_s: float, say: Say, former: str, restored: bool) -> None:
        """`former`: what the console's log held before."""
        begin = time.monotonic()
        is_up = False
        while time.monotonic() < begin + patience_s:
            if self.process.poll() is not None:
                raise SandboxError(f"the board ended with code {self.process.returncode}: {self.last_words()}")
            said = self.console()[len(former) :]
            panic = said.partition(PANIC)[2].split("\n")[0]
            if panic:
                raise SandboxError(f"the board's kernel gave up{panic}; its console: {self.log}")
            if KERNEL_IS_UP in said and not is_up:
                is_up = True
                kernel = said.partition(KERNEL_IS_UP)[2].split("\n")[0].strip()
                say(f"its kernel is up after {time.monotonic() - begin:.1f} s: {kernel}")
            # QEMU takes a connection long before anybody listens behind it: then it would be waited for in vain.
            if restored or LISTENS in said:
                try:
                    wait_answers(self.address, 10.0)
                    say(f"it answers after {time.monotonic() - begin:.1f} s")
                    return
                except SandboxError:
                    pass
            time.sleep(0.1)
        raise SandboxError(f"the board does not answer after {patience_s:g} s: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its console that is not empty."""
        lines = self.console().split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "its console is silent")

    def console(self) -> str:
        return self.log.read_text(errors="backslashreplace")

    def save(self, place: Path) -> BoardSnapshot:
        """Save it as it is now; it goes on. SandboxError while somebody is connected, or when QEMU fails."""
        connected = _connections(self.port)
        if connected:
            raise SandboxError(
                f"found {connected} ADB connections to {self.address}, wanted none while it is saved: "
                f"adb disconnect {self.address}"
            )
        snapshot = BoardSnapshot(place, self.profile_name)
        self.qmp.ask("stop")
        try:
            with snapshot.writing() as new:
                self.qmp.save(f"exec:cat > {shlex.quote(str(new.state))}")
                new.pack(self.disk, self._initrd)
        finally:
            self.qmp.ask("cont")
        return snapshot

    def power_cut(self) -> None:
        """It is gone at once, in the middle of whatever it did. Its disk stays."""
        self.process.kill()
        self.process.wait()
        self.qmp.close()
        self._initrd.unlink(missing_ok=True)

    def close(self) -> None:
        """End it and remove its disk."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                pass
        self.power_cut()
        self.disk.unlink(missing_ok=True)

    def __enter__(self) -> QemuBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lines(keys: Sequence[bytes] | None) -> bytes:
    try:
        return b"".join(line + b"\n" for line in (public_keys() if keys is None else keys))
    except KeyFileError as error:
        raise SandboxError(f"whom the board lets in: {error}") from error


def make_disk(path: Path) -> None:
    """An empty ext4 file system in a sparse file. SandboxError if it cannot be made."""
    maker = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if maker is None:
        raise SandboxError("mke2fs is not here; run: sudo apt-get install --no-install-recommends e2fsprogs")
    words = [maker, "-q", "-t", "ext4", "-E", "root_owner=0:0", "-F", str(path), f"{DISK_MIB}M"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SandboxError(f"mke2fs: {done.stderr.strip()}")


def _end_with_us() -> None:
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _connections(port: int) -> int:
    """Established TCP connections to a port of this machine's loopback."""
    wanted = f":{port:04X}"
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(wanted) and row[3] == "01")
