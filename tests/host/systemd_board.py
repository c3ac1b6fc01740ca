"""A board that runs systemd, out of this machine's own files: namespaces, an overlay for what it writes, real units.

Only the units named here exist in it, so that nothing of this machine's boot (clean-up of /tmp, udev) is repeated.
Its processes see each other and nobody else.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.support import REPO_ROOT, require, wait_until

TARGETS = ("sysinit.target", "basic.target", "shutdown.target", "multi-user.target")
SYSTEMD = "/lib/systemd/systemd"
# $1 folder, $2 cgroup of its own
BOOT = """set -e
echo 0 > "$2/cgroup.procs"
exec unshare --cgroup --pid --mount --uts --ipc --fork --kill-child=KILL --propagation private sh -ec '
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc; mount -t sysfs sys sys; mount --rbind /dev dev
[ ! -d dev/shm ] || mount -t tmpfs shm dev/shm # what killers name there goes with the board, which ends with KILL
mount -t tmpfs run run; mount -t tmpfs cgroup sys/fs/cgroup; mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs units usr/lib/systemd/system; cp "$1"/units/* usr/lib/systemd/system
mount -t tmpfs none usr/lib/systemd/system-generators; mount -t tmpfs etc etc/systemd; mkdir etc/systemd/system
export container=lmkd
exec chroot . /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=0
' sh "$1"
"""


class SystemdBoard:
    """Boots when made. `run()` is a command in it; `address` speaks ADB, to who has one of `keys`."""

    def __init__(self, folder: Path, cgroups: Path, keys: list[bytes]) -> None:
        for program in (SYSTEMD, "unshare", "nsenter", "setpriv", "systemctl"):
            require(shutil.which(program), f"{program} is not here: apt-get install systemd util-linux")
        for name in ("upper", "work", "root", "units"):
            (folder / name).mkdir(parents=True)
        for target in TARGETS:
            (folder / "units" / target).write_text(f"[Unit]\nDescription={target}\nDefaultDependencies=no\n")
        (folder / "upper/adb_keys").write_bytes(b"".join(line + b"\n" for line in keys))
        self.folder = folder
        self.cgroup = cgroups / f"lmkd_systemd_{os.getpid()}"
        self.cgroup.mkdir()
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._unshare = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "bash", "-c", BOOT, "boot", str(folder), str(self.cgroup)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.pid = self._wait("systemd runs", self._init)
        self._wait("it has started", lambda: "running" in self.run("systemctl", "is-system-running").stdout)
        words = [sys.executable, "-m", "lmkd_py.board.adbd", "--bare", "--root", "/", "--name", "systemd"]
        words += ["--auth", "never", "--keys", "/adb_keys"]
        self._adbd = subprocess.Popen(
            [*self._inside(), "env", f"PYTHONPATH={REPO_ROOT}", *words, "--end-with-stdin"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._adbd.stdout is not None
        self.address = self._adbd.stdout.readline().split()[1]

    def _wait(self, what: str, found: Callable[[], int]) -> int:
        def living() -> int:
            assert self._unshare.poll() is None, self.log.read_text()
            return found()

        return wait_until(what, living, seen=self.log.read_text)

    def _init(self) -> int:
        # The only child of unshare, once it has become systemd.
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                return int(child)
        return 0

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-C", "-u", "-i", "--root", "--wd"]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root on the board."""
        return subprocess.run([*self._inside(), *words], capture_output=True, text=True, timeout=60, check=False)

    def close(self) -> None:
        """End the board's init, and with it everything on the board."""
        if adbd := getattr(self, "_adbd", None):
            adbd.communicate(timeout=60)
        if pid := getattr(self, "pid", 0):
            os.kill(pid, signal.SIGKILL)
        self._unshare.kill()
        self._unshare.wait(60)

        def removed() -> bool:
            for path, _, _ in os.walk(self.cgroup, topdown=False):
                with suppress(OSError):  # until the last of its processes is dead
                    os.rmdir(path)
            return not self.cgroup.exists()

        wait_until("its cgroup is gone", removed)
