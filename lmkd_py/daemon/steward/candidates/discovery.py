"""Where candidates come from: the registration file, and the domain's members by their oom_score_adj.

Whom to look at, and when to look at all, says candidate_events.py. Deaths are seen by pidfd.
"""

from __future__ import annotations

import os

from ....core.config import MonitorConfig
from ....kernel.acting.process import read_uid
from ....kernel.acting.syscalls import IN_CLOSE_WRITE, IN_CREATE, IN_MOVED_TO, inotify_add_watch, inotify_init1
from ....kernel.sensing.domain import Domain
from ....wire.state_file import read_state_file
from ...shortage import is_shortage
from .candidates import CandidateProcess, Candidates
from .complaints import Complaints
from .procs_file import Line, parse_procs
from .refused import CandidateRefused, KernelThread, NoRoom

PROCS = "procs"
PROCS_BYTES = 1 << 20  # thirty thousand lines


class Discovery:
    """Keeps the candidates in step with the file and the domain. `fd` is readable when the file may have changed."""

    def __init__(self, root: str, candidates: Candidates, domain: Domain, scan: bool, scan_min_adj: int) -> None:
        self.path = os.path.join(root, PROCS)
        self.candidates = candidates
        self.domain = domain
        self.scanning = scan
        self.scan_min_adj = scan_min_adj
        self.fd = inotify_init1()
        inotify_add_watch(self.fd, root, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)
        self.complaints = Complaints()
        self._said_refused: list[str] = []  # of the lines of the file
        self.short = False  # somebody could not be looked at for want of memory: look again
        self._found_in: Domain | None = None  # where the candidates were found that are not registered
        self.kernel_threads: set[int] = set()  # not looked at again by scans, until something happens to them
        self._left_out = 0  # processes without a place in this pass
        self._said_left_out: dict[str, int] = {}
        self.renamed: list[CandidateProcess] = []  # known, but by another name
        self.fresh: list[
            CandidateProcess
        ] = []  # registered since somebody last looked; their names belong into the trace

    def watch(self, domain: Domain, monitor: MonitorConfig) -> None:
        """Look for candidates there from now on, as the configuration says."""
        self.domain = domain
        self.scanning = bool(monitor.discovery.scan)
        self.scan_min_adj = monitor.discovery.scan_min_adj

    @property
    def has_strangers(self) -> bool:
        """True from watch() on until a scan has forgotten whoever is not of that domain: tell nobody of candidates."""
        return self._found_in is not self.domain

    def close(self) -> None:
        """Close the epoll descriptor and the watch for deaths."""
        self.candidates.deaths.close()
        os.close(self.fd)

    def file_changed(self) -> bool:
        """Read what inotify has; True when it was about the registration file."""
        try:
            data = os.read(self.fd, 8192)
        except BlockingIOError:
            return False
        return PROCS.encode() in data

    def heed(self, _: int) -> None:
        """inotify has something: read the registration file, if it is about that."""
        if self.file_changed():
            self.read_file()

    def read_file(self) -> None:
        """Make the registered set what the file says; lines that are none become complaints."""
        try:
            data = read_state_file(self.path, PROCS_BYTES)
        except FileNotFoundError:
            return
        except OSError as error:
            if is_shortage(error):
                self.short = True
            else:
                self.complaints.append(f"{self.path}: {error.strerror}; the registrations stay as they were")
            return
        lines, refused = parse_procs(data)
        if refused != self._said_refused:  # the file is read again when nothing has changed, too
            self._said_refused = refused
            self.complaints.extend(refused)
        named = {line.pid for line in lines}
        for pid in [pid for pid, each in self.candidates.processes.items() if each.registered and pid not in named]:
            self.remove(pid)
        lines.sort(key=_least_adj_last)
        for line in lines:
            known = self.candidates.processes.get(line.pid)
            # Only a new or changed line is a registration: rereading the file must not make everybody the newest.
            process = self.register(line.pid, line.uid, line.adj, refresh=known is None)
            if process is not None:
                process.registered = True
        self._say_left_out("procs")

    def scan(self) -> None:
        """Look at every member of the domain once; where scans are switched off, forget whom former ones have found."""
        members = self.domain.members() if self.scanning else []
        self._forget_strangers(set(members))
        self._found_in = self.domain
        if not self.scanning:
            return
        if self._consider(members):
            # A member's pid may have been recycled outside the domain before it was identified.
            self._forget_strangers(set(self.domain.members()))
        self._say_left_out("scan")

    def look(self, pids: set[int]) -> None:
        """Look at these alone: something happened to them."""
        if not self.scanning or not pids:
            return
        self.kernel_threads -= pids  # the number may be somebody else's by now
        inside = self.domain.among(pids)
        self._forget(pids - inside)
        new = set(self._consider(list(inside)))
        if new:
            self._forget(new - self.domain.among(new))
        self._say_left_out("scan")

    def _consider(self, pids: list[int]) -> list[int]:
        """Candidates of those that are, with the adj they have now; whoever was not known as that before."""
        if self.kernel_threads:
            pids = [pid for pid in pids if pid not in self.kernel_threads]
        lines = [Line(pid, 0, adj) for pid in pids for adj in (self._oom_score_adj(pid),) if adj is not None]
        lines.sort(key=_least_adj_last)
        new = []
        for pid, _, adj in lines:
            if pid in self.candidates.never:
                continue
            known = self.candidates.processes.get(pid)
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
        return new

    def _register_found(self, pid: int, adj: int) -> CandidateProcess | None:
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
            rows = self.candidates.rows
            self.complaints.append(
                f"{where}: no room for {count} more: {rows} candidates are all that RLIMIT_NOFILE allows"
            )
        self._said_left_out[where] = count

    def _forget_strangers(self, members: set[int]) -> None:
        """What was found and is no member any more: it has left, or the domain is another since."""
        self._forget(self.candidates.processes.keys() - members)

    def _forget(self, strangers: set[int]) -> None:
        for pid in strangers:
            known = self.candidates.processes.get(pid)
            if known is not None and not known.registered:
                self.remove(pid)

    def register(self, pid: int, uid: int, adj: int, refresh: bool = True) -> CandidateProcess | None:
        """Register and watch; a refusal becomes a complaint."""
        known = self.candidates.processes.get(pid)
        try:
            process = self.candidates.register(pid, uid, adj, refresh=refresh)
        except NoRoom:
            self._left_out += 1
            return None
        except KernelThread:
            self.kernel_threads.add(pid)
            return None
        except CandidateRefused as refusal:
            if not refusal.expected:
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
        """Take a process off the list of candidates."""
        self.candidates.remove(pid)

    def bury(self) -> int:
        """Forget all whose pidfd says that they have died; how many that were."""
        dead = self.candidates.dead()
        for pid in dead:
            self.remove(pid)
        return len(dead)


def _least_adj_last(line: Line) -> int:
    # Where there is no room for all, the most expendable get it. Within a slot the order stays.
    return -line.adj
