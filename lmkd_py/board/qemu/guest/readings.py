"""What a trial reads of the board's kernel and of the killer's processes."""

from __future__ import annotations

import os
import re
import time

SHORT = 0.15  # of RAM and swap
SETTLE_S = 3.0  # for a killer to come up: that long none of its processes has come or gone
UNSETTLED_S = 60.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
OOM_KILL = re.compile(rb"Killed process (\d+) ")  # mm/oom_kill.c: __oom_kill_process()
VMSTAT = {
    "refault_anon": "workingset_refault_anon",
    "refault_file": "workingset_refault_file",
    "oom_kills": "oom_kill",
    "system_major_faults": "pgmajfault",
}


def numbers(path: str) -> dict[str, int]:
    """`name number ...` lines of a file of /proc."""
    found = {}
    with open(path) as file:
        for line in file:
            words = line.split()
            if len(words) > 1 and words[1].isdigit():
                found[words[0].rstrip(":")] = int(words[1])
    return found


def vmstat() -> dict[str, int]:
    """The counters of VMSTAT since boot; 0 for one that this kernel lacks."""
    found = numbers("/proc/vmstat")
    return {name: found.get(theirs, 0) for name, theirs in VMSTAT.items()}


def stalled_us() -> tuple[int, int]:
    """Time since boot in which some task waited for memory, and in which all did."""
    with open("/proc/pressure/memory") as file:
        some, full = (int(line.rpartition("=")[2]) for line in file)
    return some, full


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
        if any(marker.encode() in word for word in words) and b"run_trial" not in b"".join(words):
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


class KernelKills:
    """Whom the kernel's own OOM killer says it has killed, from now on."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)
        self.pids: set[int] = set()

    def look(self) -> None:
        """Read what was logged since; to be called often, as the log is a ring."""
        while True:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                return
            except BrokenPipeError:  # it went round; the next read is of the oldest record there is
                continue
            found = OOM_KILL.search(record)
            if found:
                self.pids.add(int(found[1]))

    def close(self) -> None:
        os.close(self._fd)
