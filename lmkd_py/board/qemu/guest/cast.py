"""Applications of a trial: each a child with a role, its oom_score_adj and a line on which it tells numbers."""

from __future__ import annotations

import functools
import mmap
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from .crowd import MIB, become

PLAIN, MIXED, NOISE = (
    8,
    mmap.PAGESIZE // 3,
    mmap.PAGESIZE,
)  # random bytes of a page: zram packs them 9:1, 3:1, not at all
AT_ONCE_S = 2.0  # who dies so much later was not spared: it had been struck, too, or was about to be
_WORD = struct.Struct("<q")


@functools.cache
def _block(noise: int) -> bytes:
    random = os.urandom(MIB)
    step = mmap.PAGESIZE
    return b"".join(random[at : at + noise] + bytes(step - noise) for at in range(0, MIB, step))


def fill(room: mmap.mmap, noise: int) -> None:
    """Write every page: `noise` random bytes each, no two pages alike."""
    step = mmap.PAGESIZE
    for base in range(0, len(room), MIB):
        end = min(base + MIB, len(room))
        if noise > PLAIN:
            room[base:end] = _block(noise)[: end - base]
        for at in range(base, base + PLAIN):
            room[at:end:step] = os.urandom((end - base) // step)


def take(mib: int, noise: int) -> mmap.mmap:
    """Map private memory and fill it."""
    room = mmap.mmap(-1, mib * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    fill(room, noise)
    return room


def touch(room: mmap.mmap, mib: int) -> int:
    """Write to every page of the first `mib`; microseconds it took."""
    begin = time.monotonic_ns()
    room[: mib * MIB : mmap.PAGESIZE] = bytes(mib * MIB // mmap.PAGESIZE)
    return (time.monotonic_ns() - begin) // 1000


def spin(cpu_s: float) -> None:
    """Use the CPU for so long."""
    end = time.process_time() + cpu_s
    while time.process_time() < end:
        pass


class Part:
    """The actor's end of its line."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def tell(self, value: int) -> None:
        """Send a number."""
        self._line.send(_WORD.pack(value))

    def cue(self) -> None:
        """Wait until Actor.cue() is called."""
        self._line.recv(1)


Role = Callable[[Part], None]


class Actor:
    """A child of ours in this role; `pidfd` tells when it has died. After the role it sleeps for ever."""

    def __init__(self, name: str, adj: int, role: Role, cgroup: str = "") -> None:
        self.name, self.adj, self.death_s, self.signal = name, adj, 0.0, 0
        self.told: list[tuple[float, int]] = []  # when, in seconds, and what
        self.is_gone = False  # nobody is at the other end of the line
        self.above: list[Actor] = []  # when it died: those alive who are more expendable
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            self._line.close()
            _play(name, adj, role, cgroup, theirs)
        theirs.close()
        self._line.setblocking(False)
        self.line_fd = self._line.fileno()
        self.pidfd = os.pidfd_open(self.pid)

    def hear(self, now_s: float) -> None:
        """Take in what it has told since."""
        while True:
            try:
                word = self._line.recv(_WORD.size)
            except BlockingIOError:
                return
            except ConnectionResetError:  # it died before it read a cue
                word = b""
            if not word:
                self.is_gone = True
                return
            self.told.append((now_s, *_WORD.unpack(word)))

    @property
    def most(self) -> int:
        """The highest number that it told; 0 for none."""
        return max((value for _, value in self.told), default=0)

    @property
    def done_s(self) -> float:
        """When it told 0 as its last number, by which some roles say that they are done; 0 until then."""
        return self.told[-1][0] if self.told and not self.told[-1][1] else 0.0

    def cue(self) -> None:
        """Let it go on; nothing happens when it is dead."""
        try:
            self._line.send(b"+")
        except OSError:
            pass

    def bury(self, now_s: float) -> None:
        """Reap it and note when and by which signal it died."""
        _, status = os.waitpid(self.pid, 0)
        self.death_s, self.signal = now_s, os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1

    def end(self) -> None:
        """Kill it if it lives, and close what it had."""
        if not self.death_s:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self._line.close()
        os.close(self.pidfd)


def wrong(actors: Sequence[Actor], culprits: Sequence[str]) -> list[str]:
    """Who died while somebody more expendable lived on; a culprit's death is never wrong."""
    return [
        actor.name
        for actor in actors
        if actor.death_s
        and actor.name not in culprits
        and any(not each.death_s or each.death_s > actor.death_s + AT_ONCE_S for each in actor.above)
    ]


def _play(name: str, adj: int, role: Role, cgroup: str, line: socket.socket) -> NoReturn:
    try:
        if cgroup:
            os.makedirs(cgroup, exist_ok=True)
            with open(f"{cgroup}/cgroup.procs", "w") as file:
                file.write("0")
        become(name, adj)
        role(Part(line))
        while True:
            signal.pause()
    finally:
        os._exit(1)


def hold(mib: int, noise: int = PLAIN, cpu_s: float = 0.0) -> Role:
    """Takes its memory, uses a CPU for so long, tells how much it has."""
    _block(noise)  # here, so that all children share it

    def role(part: Part) -> None:
        held = take(mib, noise)
        spin(cpu_s)
        part.tell(mib)
        while len(held):
            signal.pause()

    return role


def beat(mib: int, noise: int, pause_s: float) -> Role:
    """Goes over its memory again and again; tells 0 when it has it, then the microseconds of each round."""
    _block(noise)

    def role(part: Part) -> None:
        held = take(mib, noise)
        part.tell(0)
        while True:
            part.tell(touch(held, mib))
            time.sleep(pause_s)

    return role


def grow(mib: int, noise: int, mib_per_s: float, used_mib: int = 0, used_times: int = 0) -> Role:
    """Grows at a pace and tells how much it has; goes over the last `used_mib` so many times, then tells 0."""
    _block(noise)

    def role(part: Part) -> None:
        held: list[mmap.mmap] = []
        while len(held) < mib:
            held.append(take(1, noise))
            part.tell(len(held))
            time.sleep(1 / mib_per_s)
        for _ in range(used_times):
            for room in held[-used_mib:]:
                touch(room, 1)
        part.tell(0)
        while held:
            signal.pause()

    return role
