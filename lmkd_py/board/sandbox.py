"""A board made on this machine without hardware: one memory cgroup, real processes in it, real pressure.

    with Sandbox(limit_mib=256) as board:
        app = board.start_app("cached-915", adj=915, size_mib=12)
        board.start_hog(adj=0, mib_per_s=20)

Whatever becomes of its maker, a guardian process ends every process of the board, switches kernel OOM killing back
on and removes the cgroups. On v2 OOM killing cannot be switched off: there a gap between memory.high and
memory.max keeps the kernel's killer away for as long as the guarded board answers.
"""

from __future__ import annotations

import itertools
import os
from types import TracebackType
from typing import Any

from ..core.config import Config, DomainConfig, MonitorConfig, with_settings
from . import cgroups
from .apps import App, AppServer
from .errors import SandboxError
from .scratch import disk_directory
from .warden import Warden

_FIRST_APP_UID = 10_000  # Android's first application uid
_numbers = itertools.count()


class Sandbox:
    """One guarded domain and everything that lives in it. Used by the process that made it only."""

    def __init__(self, limit_mib: int = 256, name: str = "") -> None:
        if not hasattr(os, "pidfd_open"):
            raise SandboxError(
                "this Python or kernel has no pidfd_open; wanted Linux >= 5.3 and Python >= 3.9 built on it"
            )
        self.name = name or f"lmkd_board_{os.getpid()}_{next(_numbers)}"
        self.limit_mib = limit_mib
        self.apps: list[App] = []
        self.place = cgroups.find_place(self.name)
        self._owner = os.getpid()
        self._thrash_mib = 0
        self._thrashers: list[App] = []
        self._hogs: list[App] = []
        self._roots: set[str] = set()
        self._closed = False
        for directory in self.place.directories:
            if os.path.isdir(directory):
                raise SandboxError(f"{directory} exists already; wanted a new name for this board: take another one")
        self._warden = Warden()
        try:
            self._build()
        except BaseException:
            self._warden.clear()  # ends the application server too, if it was there already
            raise

    def _build(self) -> None:
        for directory in self.place.directories:
            self._warden.adopt_directory(directory)
            try:
                os.mkdir(directory)
            except OSError as error:
                raise SandboxError(f"{directory} cannot be made: {error.strerror}; run it as root") from error
        cgroups.limit(self.place, self.limit_mib)
        self._server = AppServer(self.place.places)
        self._warden.adopt_process(self._server.pidfd, leaves_last=True)

    # -- processes ---------------------------------------------------------------------------------------------

    def _start(self, name: str | bytes, adj: int, uid: int | None, size_kb: int, *work: str, **options: object) -> App:
        if uid is None:
            uid = _FIRST_APP_UID + len(self.apps) if os.geteuid() == 0 else 0
        app = self._server.spawn(name, adj, uid, size_kb, tuple(work), **options)  # type: ignore[arg-type]
        self.apps.append(app)
        return app

    def start_app(
        self,
        name: str | bytes,
        adj: int,
        size_mib: float,
        *,
        uid: int | None = None,
        keep_zombie: bool = False,
        outside: bool = False,
        pid: int = 0,
        leaves_after_ms: int | None = None,
    ) -> App:
        """Start an application that allocates size_mib and sleeps.

        uid: None takes the next of Android's application uids (as root; else one's own). keep_zombie: stays a zombie
        when it dies, until reap(). outside: not in the domain. pid: the pid it shall have (root; SandboxError if it
        is taken). leaves_after_ms: exits by itself that long after it has allocated.
        """
        size = int(size_mib * cgroups.MIB)
        work = ("hold", str(size)) if leaves_after_ms is None else ("leave", str(size), str(leaves_after_ms))
        return self._start(name, adj, uid, size >> 10, *work, keep_zombie=keep_zombie, inside=not outside, pid=pid)

    def start_hog(self, adj: int, mib_per_s: float, *, limit_mib: int | None = None, name: str = "") -> App:
        """Start a process that grows by mib_per_s up to limit_mib (default: the limit of the board)."""
        size = (limit_mib or self.limit_mib) * cgroups.MIB
        pace = str(int(mib_per_s * cgroups.MIB))
        app = self._start(name or f"hog-{adj}", adj, None, size >> 10, "hog", pace, str(size))
        self._hogs.append(app)
        return app

    def start_thrashers(self, count: int = 3, *, adj: int = 0, file_mib: int | None = None) -> list[App]:
        """Start processes that read one fresh file at random; by default 1.5 times the limit in size."""
        size_mib = file_mib or self.limit_mib * 3 // 2
        if self._thrash_mib != size_mib:
            self._server.ask("forget")
            self._server.ask("file", disk_directory(size_mib), str(size_mib * cgroups.MIB))
            self._thrash_mib = size_mib
        started = [self._start(f"thrash-{adj}", adj, None, 0, "thrash", str(seed + 1)) for seed in range(count)]
        self._thrashers += started
        return started

    def stop_pressure(self) -> None:
        """End thrashers and hogs, and drop the file: no page of it stays in the domain."""
        for app in (*self._thrashers, *self._hogs):
            if app.is_alive():
                self.end(app)
        self._server.ask("forget")
        self._thrash_mib = 0

    def end(self, app: App) -> None:
        """Kill one process and wait until it is dead."""
        app.signal(9)
        if not app.wait_dead(10):
            raise SandboxError(f"{app.name} (pid {app.pid}) survives SIGKILL for 10 s; wanted it dead: is it frozen?")

    def reap(self, app: App) -> None:
        """Let go of a zombie that was started with keep_zombie."""
        self._server.ask("reap", str(app.pid))

    def wait_status(self, app: App) -> int | None:
        """How it died, as os.waitpid() tells it; None while it lives."""
        return self._server.wait_status(app.pid)

    def freeze(self, app: App) -> None:
        """Put it into a frozen v1 freezer cgroup: it sits in uninterruptible sleep and SIGKILL waits for the thaw."""
        if not self.place.freezer:
            raise SandboxError(
                "this machine has no v1 freezer; a v2-frozen process dies of SIGKILL, so nothing to test"
            )
        cgroups.write(self.place.freezer, "cgroup.procs", str(app.pid))
        cgroups.write(self.place.freezer, "freezer.state", "FROZEN")

    def thaw(self) -> None:
        """Let all frozen processes go on (and die, where SIGKILL is pending)."""
        cgroups.write(self.place.freezer, "freezer.state", "THAWED")

    # -- what the domain says -----------------------------------------------------------------------------------

    def oom_kills(self) -> int:
        """Kills by the kernel's own OOM killer in this domain; has to stay 0."""
        return cgroups.oom_kills(self.place)

    def usage_kb(self) -> int:
        """Memory in use in kB, page cache included."""
        return cgroups.usage_kb(self.place)

    def psi_total_us(self, which: str = "some") -> int:
        """Total PSI memory stall in us, `some` or `full`."""
        return cgroups.psi_total_us(self.place, which)

    # -- the daemon's side ----------------------------------------------------------------------------------------

    def monitor_config(self, **changes: Any) -> MonitorConfig:
        """What the daemon needs to guard this domain, with `changes` as core.config.with_settings takes them."""
        psi = self.place.psi if self.place.psi != self.place.memory else ""
        config = MonitorConfig(domain=DomainConfig(kind=self.place.kind, path=self.place.memory, psi_path=psi))
        return with_settings(config, **changes)

    def write_root(self, root: str, config: Config) -> None:
        """Make the daemon's state root: config.bin by rename, traces/ made by the daemon."""
        from ..wire.config import encode_config

        os.makedirs(root, mode=0o700, exist_ok=True)
        self.guards(root)
        replace_file(os.path.join(root, "config.bin"), encode_config(config))

    def guards(self, root: str) -> None:
        """A daemon of this state root may guard the board; once for each root is enough."""
        if root not in self._roots:
            self._roots.add(root)
            self._warden.adopt_root(root)

    def write_procs(self, root: str, apps: list[App] | None = None) -> None:
        """Register applications (default: all inside that live) in ROOT/procs, by rename: lines `pid uid adj`."""
        chosen = [app for app in self.apps if app.inside and app.is_alive()] if apps is None else apps
        lines = "".join(f"{app.pid} {app.uid} {app.adj}\n" for app in chosen)
        replace_file(os.path.join(root, "procs"), lines.encode())

    def adopt(self, pidfd: int) -> None:
        """Have the guardian end this process too when the board ends."""
        self._warden.adopt_process(pidfd)

    # -- end --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End every process, remove everything; SandboxError names what could not be removed."""
        if self._closed or os.getpid() != self._owner:
            return  # a forked child holds a copy of this object, not the board
        self._closed = True
        self._server.let_go()
        left = self._warden.clear()
        self._server.wait()
        for app in self.apps:
            os.close(app.pidfd)
        if left:
            raise SandboxError(f"the board left {', '.join(left)}; wanted them gone: a member does not die of SIGKILL")

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def replace_file(path: str, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never half of it."""
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # whatever the umask
    with open(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        file.write(data)
    os.replace(path + ".new", path)
