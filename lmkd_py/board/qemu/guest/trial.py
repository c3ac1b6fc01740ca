"""One trial of a low-memory killer inside a board: `python3 -m lmkd_py.board.qemu.guest.trial ORDER-IN-JSON`.

Applications take their memory, then a game in the foreground asks for more than is left, and uses it. What came of
it is written as JSON to `out`. The order: `killer` (a command line, or none when it runs already), `marker` (a word of
the killer's command lines), `apps` ([name, adj] each), `app_mib`, `game_mib`, `mib_per_s`, `limit_s`, `out`, and
`cgroup` (a cgroup v2 directory in which each application gets one of its own, or none).
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

from .crowd import MIB, become, take

STEP_S = 0.1
STALLED = 0.1  # of an interval: it counts as pressure
SHORT = 0.15  # of RAM and swap
CALM_S = 5.0  # without such an interval, and it is over
SETTLE_S = 3.0  # for a killer to come up: that long none of its processes has come or gone
UNSETTLED_S = 60.0
# What the game works with once it has its memory: the last third of it, three times. All of it may be more than RAM.
USED_SHARE, USED_TIMES = 3, 3
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def numbers(path: str) -> dict[str, int]:
    """`name number ...` lines of a file of /proc."""
    found = {}
    with open(path) as file:
        for line in file:
            words = line.split()
            if len(words) > 1 and words[1].isdigit():
                found[words[0].rstrip(":")] = int(words[1])
    return found


def stalled_us() -> int:
    """Time in which some task waited for memory, since boot."""
    with open("/proc/pressure/memory") as file:
        return int(file.readline().rpartition("=")[2])


def is_short() -> bool:
    """Less is left, RAM and swap together, than any killer on trial waits for."""
    found = numbers("/proc/meminfo")
    left, total = found["MemAvailable"] + found["SwapFree"], found["MemTotal"] + found["SwapTotal"]
    return left < total * SHORT


def marked(marker: str) -> list[int]:
    """Processes whose command line has a word with the marker in it; this one and its kin do not count."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if any(marker.encode() in word for word in words) and b"trial" not in b"".join(words):
            found.append(int(name))
    return sorted(found)


def settled(marker: str) -> list[int]:
    """The same once no more of them come or go: a daemon that starts may have helpers, which end."""
    found, since = marked(marker), time.monotonic()
    deadline = since + UNSETTLED_S
    while time.monotonic() - since < SETTLE_S and time.monotonic() < deadline:
        time.sleep(0.5)
        now = marked(marker)
        if now != found:
            found, since = now, time.monotonic()
    return found


def cost(pids: list[int]) -> dict[str, int]:
    """Major faults and CPU time of processes that run, together."""
    faults = ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(") ")[2].split()
        except OSError:
            continue
        faults += int(fields[9])
        ticks += int(fields[11]) + int(fields[12])
    return {"major_faults": faults, "cpu_ms": ticks * 1000 // TICKS_PER_S}


def memory_kb(pids: list[int]) -> dict[str, int]:
    """Rss and Pss of these processes, summed."""
    total = {"rss_kb": 0, "pss_kb": 0}
    for pid in pids:
        found = numbers(f"/proc/{pid}/smaps_rollup")
        total["rss_kb"] += found["Rss"]
        total["pss_kb"] += found["Pss"]
    return total


class TrialApp:
    """A child of ours; `pidfd` tells when it has died."""

    def __init__(self, name: str, adj: int, cgroup: str) -> None:
        self.name, self.adj, self.death_s, self.signal = name, adj, 0.0, 0
        self.progress, theirs = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.progress)
            self.place = theirs
            _join(cgroup, name)
            become(name, adj)
            return
        os.close(theirs)
        self.pidfd = os.pidfd_open(self.pid)

    def bury(self, now_s: float) -> None:
        """Reap it and note when and by which signal it died."""
        _, status = os.waitpid(self.pid, 0)
        self.death_s, self.signal = now_s, os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1


def _join(cgroup: str, name: str) -> None:
    if cgroup:
        os.makedirs(f"{cgroup}/{name}", exist_ok=True)
        with open(f"{cgroup}/{name}/cgroup.procs", "w") as file:
            file.write("0")


def open_cgroup(cgroup: str) -> None:
    """Let those below have memory of their own, as a slice's units have."""
    with open(f"{cgroup}/cgroup.subtree_control", "w") as file:
        file.write("+memory")


def start_app(name: str, adj: int, mib: int, cgroup: str) -> TrialApp:
    """One that has its memory when this returns, and then sleeps."""
    app = TrialApp(name, adj, cgroup)
    if not app.pid:
        held = take(mib * MIB)
        os.write(app.place, b"+")
        while held:
            signal.pause()
    os.read(app.progress, 1)
    return app


def start_game(mib: int, mib_per_s: float, cgroup: str) -> TrialApp:
    """It grows at a pace, goes over all of it a few times, says so and sleeps."""
    app = TrialApp("game-0", 0, cgroup)
    if not app.pid:
        held: list[mmap.mmap] = []
        while len(held) < mib:
            held.append(take(MIB))
            time.sleep(1 / mib_per_s)
        for _ in range(USED_TIMES):
            for room in held[-mib // USED_SHARE :]:
                for at in range(0, MIB, mmap.PAGESIZE):
                    room[at] = 1
        os.write(app.place, b"+")
        while True:
            signal.pause()
    return app


class TrialWatch:
    """Deaths and stalls, looked at ten times a second."""

    def __init__(self, apps: list[TrialApp], game: TrialApp, limit_s: float) -> None:
        self.apps, self.game = [*apps, game], game
        self.begin = time.monotonic()
        self.limit_s = limit_s
        # When it got short; the last stall; when the game had its memory.
        self.short_s = self.last_s = self.done_s = 0.0
        self.highest = 0.0
        self.poll = select.poll()
        self.by_fd = {app.pidfd: app for app in self.apps}
        for fd in (*self.by_fd, game.progress):
            self.poll.register(fd, select.POLLIN)

    def run(self) -> bool:
        """Until it is calm and the game is done or dead; False when that takes too long."""
        known, at = stalled_us(), self.begin
        while True:
            self._look()
            now, total = time.monotonic(), stalled_us()
            share = (total - known) / 1e6 / max(now - at, 1e-3)
            known, at = total, now
            self.highest = max(self.highest, share)
            elapsed = now - self.begin
            if not self.short_s and is_short():
                self.short_s = elapsed
            if share > STALLED:
                self.last_s = elapsed
            is_over = self.done_s or self.game.death_s
            if is_over and elapsed - max(self.last_s, is_over) > CALM_S:
                return True
            if elapsed > self.limit_s:
                return False

    def _look(self) -> None:
        until = time.monotonic() + STEP_S
        while (left := until - time.monotonic()) > 0:
            for fd, _ in self.poll.poll(left * 1000):
                elapsed = time.monotonic() - self.begin
                self.poll.unregister(fd)
                if fd in self.by_fd:
                    self.by_fd[fd].bury(elapsed)
                elif os.read(fd, 1):
                    self.done_s = elapsed


def empty_swap() -> None:
    """As after boot: nothing in zram, nothing cached."""
    with open("/proc/swaps") as file:
        devices = [line.split()[0] for line in file.readlines()[1:]]
    for device in devices:
        subprocess.run(["swapoff", device], check=True)
        subprocess.run(["swapon", device], check=True)
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def trial(order: dict[str, Any]) -> dict[str, Any]:
    """Carry it out; everything that was started is gone then."""
    empty_swap()
    killer = subprocess.Popen(order["killer"], stdout=sys.stderr) if order["killer"] else None
    time.sleep(SETTLE_S)
    pids = settled(order["marker"]) if order["marker"] else []
    size = memory_kb(pids)
    cgroup = order["cgroup"]
    if cgroup:
        open_cgroup(cgroup)
    apps = [start_app(name, adj, order["app_mib"], cgroup) for name, adj in order["apps"]]
    before, counted = cost(pids), numbers("/proc/vmstat")
    watch = TrialWatch(apps, start_game(order["game_mib"], order["mib_per_s"], cgroup), order["limit_s"])
    is_calm = watch.run()
    after, vmstat = cost(pids), numbers("/proc/vmstat")
    still = marked(order["marker"]) if order["marker"] else []
    for app in watch.apps:
        if not app.death_s:
            os.kill(app.pid, signal.SIGKILL)
            os.waitpid(app.pid, 0)
        if cgroup:
            os.rmdir(f"{cgroup}/{app.name}")
    if killer is not None:
        killer.terminate()
        killer.wait()
    dead = sorted((app for app in watch.apps if app.death_s), key=lambda app: app.death_s)
    return {
        "deaths": [[app.name, app.adj, app.signal, round(app.death_s, 3)] for app in dead],
        "living": [[app.name, app.adj] for app in watch.apps if not app.death_s],
        "calm": is_calm,
        "done_s": watch.done_s,
        "short_s": watch.short_s,
        "last_stall_s": watch.last_s,
        "highest_stall": watch.highest,
        "oom_kills": vmstat["oom_kill"] - counted["oom_kill"],
        "system_major_faults": vmstat["pgmajfault"] - counted["pgmajfault"],
        "killer_runs": still == pids,
        **{name: after[name] - before[name] for name in after},
        **size,
    }


def main() -> None:
    """The program: nobody's victim, and never waiting for memory of its own."""
    order = json.loads(sys.argv[1])
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    ctypes.CDLL(None).mlockall(1)  # what there is now: children do not inherit it
    found = trial(order)
    with open(order["out"] + ".new", "w") as file:
        json.dump(found, file)
    os.replace(order["out"] + ".new", order["out"])


if __name__ == "__main__":
    main()
