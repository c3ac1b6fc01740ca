"""Forks the processes of a board from one small interpreter, so that an application costs little but its size.

A program; argument: the number of its SEQPACKET socket. One request, one reply. Fields are separated by NUL:
    place FILE...                                cgroup.procs files every later process is written to
    spawn NAME ADJ UID PID INSIDE KEEP KIND ARG...  -> `pid` with the pidfd; KIND as in workload.run; PID 0: any
    file DIRECTORY BYTES                         make the file that thrashers read
    forget                                       let go of that file, and of its page cache with it
    reap PID                                     from now on wait for a process that was spawned with KEEP=1
    status PID                                   -> its wait status, `-` while it lives
A failure answers `!` and the reason. Processes die with the server, and the server with its socket.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
from typing import NoReturn

from . import workload

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PID_TRIES = 20
PID_RETRY_S = 0.02
PATIENCE_S = 15.0  # for the last processes to die once the socket has closed
_libc = ctypes.CDLL(None, use_errno=True)


def fork_as(pid: int) -> int:
    """fork() as the process of this pid; OSError where another has it.

    Any process of the machine that forks between our two steps gets it in our stead. Most of those are gone at once.
    """
    for _ in range(PID_TRIES):
        if os.path.exists(f"/proc/{pid}"):
            time.sleep(PID_RETRY_S)
            continue
        # The next fork takes the first free pid after this one.
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
        child = os.fork()
        if child == 0:
            if os.getpid() != pid:
                os._exit(72)
            return 0
        if child == pid:
            return child
        os.waitpid(child, 0)
    raise OSError(0, f"pid {pid} is taken")


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.places: list[str] = []
        self.file = -1
        self.alive: set[int] = set()
        self.kept: set[int] = set()
        self.statuses: dict[int, int] = {}

    def reap(self) -> None:
        for pid in list(self.alive - self.kept):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.alive.discard(pid)
                self.statuses[pid] = status

    def spawn(self, name: str, adj: str, uid: str, pid: str, inside: str, keep: str, *work: str) -> tuple[int, int]:
        named, go = os.pipe(), os.pipe()
        try:
            child = fork_as(int(pid)) if int(pid) else os.fork()
        except OSError:
            for end in (*named, *go):
                os.close(end)
            raise
        if child == 0:
            try:
                os.close(named[0])
                os.close(go[1])
                self._child(name, int(uid), named[1], go[0], work)
            finally:
                os._exit(70)
        self.alive.add(child)
        os.close(named[1])
        os.close(go[0])
        try:
            if os.read(named[0], 1) != b"n":
                raise OSError(0, "the new process died at once")
            # Only now, and from outside: a process that is named, tiered and placed before it makes its first page.
            with open(f"/proc/{child}/oom_score_adj", "w") as file:
                file.write(adj)
            for place in self.places if int(inside) else ():
                with open(place, "w") as file:
                    file.write(str(child))
            pidfd = os.pidfd_open(child)
        except OSError:
            os.kill(child, signal.SIGKILL)  # our own child, not yet reaped: the pid is still its
            raise
        else:
            if int(keep):
                self.kept.add(child)
            try:
                os.write(go[1], b"g")
            except BrokenPipeError:
                pass  # struck as soon as it was in its place: born all the same
            return child, pidfd
        finally:
            os.close(named[0])
            os.close(go[1])

    def _child(self, name: str, uid: int, named: int, go: int, work: tuple[str, ...]) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.control.close()
        with open("/proc/self/comm", "wb") as file:
            file.write(bytes.fromhex(name))
        if uid:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/PID belongs to root
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after setuid, which forgets it
        os.write(named, b"n")
        if os.read(go, 1) != b"g":
            os._exit(71)
        os.close(named)
        os.close(go)
        numbers = [int(text) for text in work[1:]]
        workload.run(work[0], [self.file, *numbers] if work[0] == "thrash" else numbers)

    def answer(self, verb: str, *fields: str) -> tuple[str, list[int]]:
        if verb == "spawn":
            pid, pidfd = self.spawn(*fields)
            return str(pid), [pidfd]
        if verb == "place":
            self.places = list(fields)
        elif verb == "file":
            self.file = workload.make_file(fields[0], int(fields[1]))
        elif verb == "forget":
            if self.file >= 0:
                os.close(self.file)
            self.file = -1
        elif verb == "reap":
            self.kept.discard(int(fields[0]))
        elif verb == "status":
            self.reap()
            return str(self.statuses.get(int(fields[0]), "-")), []
        else:
            return f"!unknown request {verb}", []
        return "ok", []

    def serve(self) -> None:
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if woken in ready:
                os.read(woken, 4096)
                self.reap()
            if self.control.fileno() in ready and not self.serve_one():
                self.end_all()
                return

    def end_all(self) -> None:
        # Waited for, so that no zombie is left to an init that may not care. A frozen one dies when it is thawed.
        for pid in self.alive:
            os.kill(pid, signal.SIGKILL)  # our own children, not yet reaped: the pids are still theirs
        self.kept.clear()
        deadline = time.monotonic() + PATIENCE_S
        while self.alive and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.005)

    def serve_one(self) -> bool:
        request = self.control.recv(8192)
        if not request:
            return False
        try:
            text, fds = self.answer(*request.decode().split("\0"))
        except (OSError, ValueError, TypeError) as error:
            text, fds = f"!{error}", []
        self.reap()
        socket.send_fds(self.control, [text.encode()], fds)
        for fd in fds:
            os.close(fd)
        return True


def main() -> None:
    """Serve until the other end of the socket closes."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    server = _Server(socket.socket(fileno=int(sys.argv[1])))
    gc.freeze()  # a collection in a child would copy the pages it shares with this process
    gc.disable()
    server.serve()
