"""Where candidates come from: the registration file and a scan of the domain's members by oom_score_adj.

A scan costs one read a member, so it runs at start, when pressure begins and when asked, never by a timer: an idle
board is left alone. Deaths are seen by pidfd.
"""

from __future__ import annotations

import errno
import os
import stat

from ...core.config import MonitorConfig
from ...kernel.domain import Domain
from ...kernel.process import read_uid
from ...kernel.syscalls import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_MOVED_TO,
    inotify_add_watch,
    inotify_init1,
)
from ..shortage import is_shortage
from .procs_file import Line, parse_procs
from .registry import NoRoom, Process, Refused, Registry

PROCS = "procs"
PROCS_BYTES = 4 << 20  # a hundred thousand lines


class Discovery:
    """Keeps the registry in step with the file and the domain. `fd` is readable when the file may have changed."""

    def __init__(self, root: str, registry: Registry, domain: Domain, scan: bool, scan_min_adj: int) -> None:
        self.path = os.path.join(root, PROCS)
        self.registry = registry
        self.domain = domain
        self.scanning = scan
        self.scan_min_adj = scan_min_adj
        self.fd = inotify_init1()
        inotify_add_watch(self.fd, root, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)
        self.complaints: list[str] = []
        self.short = False  # somebody could not be looked at for want of memory: look again
        self._left_out = 0  # processes without a place in this pass
        self._said_left_out: dict[str, int] = {}
        self.fresh: list[Process] = []  # registered since somebody last looked; their names belong into the trace

    def watch(self, domain: Domain, monitor: MonitorConfig) -> None:
        """Look for candidates there from now on, as the configuration says."""
        self.domain = domain
        self.scanning = bool(monitor.scan)
        self.scan_min_adj = monitor.scan_min_adj

    def close(self) -> None:
        """Close what is watched."""
        self.registry.deaths.close()
        os.close(self.fd)

    def file_changed(self) -> bool:
        """Read what inotify has; True when it was about the registration file."""
        try:
            data = os.read(self.fd, 8192)
        except BlockingIOError:
            return False
        return PROCS.encode() in data

    def read_file(self) -> None:
        """Make the registered set what the file says; lines that are none become complaints."""
        try:
            data = _read_regular(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            if is_shortage(error):
                self.short = True
            else:
                self.complaints.append(f"{self.path}: {error.strerror}; the registrations stay as they were")
            return
        lines, refused = parse_procs(data)
        self.complaints += refused
        named = {line.pid for line in lines}
        for pid in [pid for pid, each in self.registry.processes.items() if each.registered and pid not in named]:
            self.remove(pid)
        lines.sort(key=_least_adj_last)
        for line in lines:
            known = self.registry.processes.get(line.pid)
            # Only a new or changed line is a registration: rereading the file must not make everybody the newest.
            process = self.register(line.pid, line.uid, line.adj, refresh=known is None)
            if process is not None:
                process.registered = True
        self._say_left_out("procs")

    def scan(self) -> None:
        """Look at every member of the domain once."""
        if not self.scanning:
            return
        members = self.domain.members()
        self._forget_strangers(set(members))
        lines = [Line(pid, 0, adj) for pid in members for adj in (self._oom_score_adj(pid),) if adj is not None]
        lines.sort(key=_least_adj_last)
        new = []
        for pid, _, adj in lines:
            if pid in self.registry.never:
                continue
            known = self.registry.processes.get(pid)
            if known is not None and known.registered:
                continue  # whoever registered it keeps it up to date
            if adj < max(0, self.scan_min_adj):
                if known is not None:
                    self.remove(pid)
                continue
            if (known is None or known.adj != adj) and self._register_found(pid, adj):
                new.append(pid)
                # Read again, now that a pidfd holds the process: the pid may have been another's a moment ago.
                again = self._oom_score_adj(pid)
                if again is not None and again != adj:
                    self._register_found(pid, again)
        if new:
            # A member's pid may have been recycled outside the domain before it was identified.
            self._forget_strangers(set(self.domain.members()))
        self._say_left_out("scan")

    def _register_found(self, pid: int, adj: int) -> Process | None:
        try:
            uid = read_uid(pid)
        except (OSError, ValueError) as error:
            if is_shortage(error):
                self.short = True
                return None
            uid = 0
        return self.register(pid, uid, adj, refresh=False)

    def _oom_score_adj(self, pid: int) -> int | None:
        try:
            with open(f"/proc/{pid}/oom_score_adj", "rb", buffering=0) as file:
                return int(file.read(16))
        except (OSError, ValueError) as error:
            self.short = self.short or is_shortage(error)
            return None

    def _say_left_out(self, where: str) -> None:
        count, self._left_out = self._left_out, 0
        if count and count != self._said_left_out.get(where):
            rows = self.registry.rows
            self.complaints.append(f"{where}: no place for {count}: all {rows} are taken (RLIMIT_NOFILE bounds them)")
        self._said_left_out[where] = count

    def _forget_strangers(self, members: set[int]) -> None:
        """What a scan found and is no member any more: it has left, or the domain is another since."""
        for pid in [pid for pid, each in self.registry.processes.items() if not each.registered and pid not in members]:
            self.remove(pid)

    def register(self, pid: int, uid: int, adj: int, refresh: bool = True) -> Process | None:
        """Register and watch; a refusal becomes a complaint."""
        known = self.registry.processes.get(pid)
        try:
            process = self.registry.register(pid, uid, adj, refresh=refresh)
        except NoRoom:
            self._left_out += 1
            return None
        except Refused as refusal:
            if not str(refusal).endswith(("has ended", "No such process", "is a kernel thread")):
                self.complaints.append(str(refusal))
            return None
        except OSError as error:
            if not is_shortage(error):
                raise
            self.short = True
            return None
        if process is not None and process is not known:
            self.fresh.append(process)
        return process

    def remove(self, pid: int) -> None:
        """Forget a process."""
        self.registry.remove(pid)

    def bury(self) -> int:
        """Forget all whose pidfd says that they have died; how many that were."""
        dead = self.registry.dead()
        for pid in dead:
            self.remove(pid)
        return len(dead)


def _least_adj_last(line: Line) -> int:
    # Where there is no room for all, the most expendable get it. Within a slot the order stays.
    return -line.adj


def _read_regular(path: str) -> bytes:
    """A whole file; OSError for a directory, a FIFO or anything else one might wait for."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "no regular file", path)
        return os.read(fd, min(about.st_size, PROCS_BYTES))
    finally:
        os.close(fd)
