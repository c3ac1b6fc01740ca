"""earlyoom and nohang, each in a PID and mount namespace of its own where /proc/meminfo is ours.

There they see and can kill nothing but the victims we put in. The step to a shortage is one pwrite.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tools.bench.meminfo import NEAR_PCT, PLENTY_PCT, SHORT_PCT, Meminfo
from tools.bench.packages import Peer
from tools.bench.pairing import SLEEPS, TimedKill, strikes
from tools.observer import EXIT, KILL, WAKING, Event, Observer

VICTIM = "bench_victim"
SETTLE_S = 2.0
# Longer than the longest sleep between two looks (nohang: 3 s), so that the step falls anywhere in it.
QUIET_S = (3.2, 6.2)
PATIENCE_S = 15.0


class Steps(NamedTuple):
    """The steps of one peer: times in ms, and the kills."""

    peer: Peer
    from_pct: int
    step_ms: list[float]  # step to signal
    struck: list[TimedKill]  # wake-up to signal
    unanswered: int


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, itself not counted."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as stream:
                parent = int(stream.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(name))
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


class Box:
    """A running peer, its meminfo and a victim that comes back."""

    def __init__(self, peer: Peer, crowd: str, directory: str, over: tuple[str, str] = ("/", "/")) -> None:
        """over: a directory, and the mount point it is laid over."""
        self.peer = peer
        self.meminfo = Meminfo(os.path.join(directory, f"meminfo.{peer.name}"))
        script = (
            'mount --bind "$1" /proc/meminfo || exit 1; [ "$2" = / ] || mount --bind "$2" "$3" || exit 1; shift 3; '
            '"$1" 1 8192 1000 1000 >/dev/null & shift; "$@" & wait'
        )
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "box",
             self.meminfo.path, *over, crowd, *peer.command],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, **dict(peer.environment)},
        )  # fmt: skip

    def daemon(self) -> int:
        """Pid of the peer. RuntimeError if it does not run."""
        for pid in descendants(self._process.pid):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as stream:
                    words = stream.read().split(b"\0")
            except OSError:
                continue
            if self.peer.command[0].encode() in words and words[0] != b"sh":
                return pid
        raise RuntimeError(f"{self.peer.name} does not run")

    def near(self, from_pct: int) -> None:
        """End the shortage: this share of memory is available."""
        self.meminfo.set(from_pct)

    def short(self) -> None:
        """Begin the shortage: SHORT_PCT of memory is available."""
        self.meminfo.set(SHORT_PCT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self.meminfo.close()


def measure(peers: list[Peer], crowd: str, directory: str, steps: int, from_pct: int = PLENTY_PCT) -> list[Steps]:
    """Every peer through `steps` steps to a shortage, all at the same time (each in its own box)."""
    boxes = [Box(peer, crowd, directory) for peer in peers]
    try:
        time.sleep(SETTLE_S)
        with ThreadPoolExecutor(len(boxes)) as pool:
            return list(pool.map(lambda box: _walk(box, steps, from_pct), boxes))
    finally:
        for box in boxes:
            box.close()


def _walk(box: Box, steps: int, from_pct: int) -> Steps:
    pid = box.daemon()
    filters = dict.fromkeys(SLEEPS, f"common_pid=={pid}")
    with Observer([KILL, EXIT, WAKING, *SLEEPS], [pid], filters) as observer:
        return Steps(box.peer, from_pct, *_steps(box, pid, observer, steps, from_pct))


def _steps(
    box: Box, pid: int, observer: Observer, steps: int, from_pct: int
) -> tuple[list[float], list[TimedKill], int]:
    latencies, struck, unanswered = [], [], 0
    for _ in range(steps):
        box.meminfo.set(from_pct)
        time.sleep(random.uniform(*QUIET_S))
        seen = len(observer.events())
        began = time.monotonic_ns()
        box.meminfo.set(SHORT_PCT)
        kill = None
        while kill is None and time.monotonic_ns() < began + PATIENCE_S * 1e9:
            time.sleep(0.002)
            kill = _kill_of(observer.events()[seen:], pid, began)
        box.meminfo.set(from_pct)
        if kill is None:
            unanswered += 1
            continue
        latencies.append((kill.time_ns - began) / 1e6)
        struck += [each for each in strikes(observer.events()[seen:], [pid]) if each.kill_ns == kill.time_ns]
    return latencies, struck, unanswered


def _kill_of(events: list[Event], pid: int, since_ns: int) -> Event | None:
    for event in events:
        if event.name == KILL and event.pid == pid and event.time_ns >= since_ns and event.fields["comm"] == VICTIM:
            return event
    return None


__all__ = ["NEAR_PCT", "PLENTY_PCT", "Box", "Steps", "measure"]
