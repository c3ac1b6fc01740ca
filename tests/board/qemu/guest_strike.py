"""Runs on an emulated board with the payload on its path: which strike programs load there, and whom they kill.

`probe` prints a line for each domain and variant, `compare` which offsets experiments find and which the kernel's BTF
tells. `strike DOMAIN VARIANT` presses on that domain with nobody to answer the kicks, and prints what became of
everybody as JSON. `limit` counts events and kicks of the whole system: at rest, and under pressure with more free than
the limit and with less. The board is ours alone, so its whole memory may be pressed on.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable

from lmkd_py.kernel.acting import memory
from lmkd_py.kernel.acting.process import read_stat
from lmkd_py.kernel.bpf import VARIANT_NAMES, BpfRefused, Guard, Order, layout, load_apart
from lmkd_py.kernel.sensing.mounts import cgroup_v2_root, memcg_v1_root

MIB = 1 << 20
VARIANTS = {name: number for number, name in VARIANT_NAMES.items()}
PATIENCE_S = 240
PR_SET_PDEATHSIG = 1
CACHE = "/tmp" if os.path.exists("/sys/kernel/btf/vmlinux") else ""  # what it told is not for a kernel without


class Domain:
    """A memory cgroup of 24 MiB and the v2 directory BPF knows its members by; or all there is."""

    def __init__(self, name: str, limited: bool) -> None:
        v1, v2 = memcg_v1_root(), cgroup_v2_root()
        self.places = [os.path.join(v2, name)] if limited else []
        self.v2 = self.places[0] if limited else ""
        if not limited:
            return
        os.mkdir(self.v2)
        if v1:
            self.places.append(os.path.join(v1, name))
            os.mkdir(self.places[1])
            write(self.places[1] + "/memory.limit_in_bytes", str(24 * MIB))
        else:
            write(v2 + "/cgroup.subtree_control", "+memory")
            # Not memory.max: reclaim of MGLRU that gets nowhere for a moment calls the cgroup's OOM killer there.
            write(self.v2 + "/memory.high", str(24 * MIB))


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def start(domain: Domain, adj: int, work: Callable[[], None]) -> int:
    """A member of the domain with this oom_score_adj; returns when it is that."""
    ready, done = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for place in domain.places:
                write(place + "/cgroup.procs", "0")
            write("/proc/self/oom_score_adj", str(adj))
            os.close(ready)
            os.write(done, b"!")
            os.close(done)
            work()
        finally:
            os._exit(1)
    os.close(done)
    os.read(ready, 1)
    os.close(ready)
    return pid


def rest() -> None:
    """A bystander: its memory is there, and it asks for no more."""
    while True:
        time.sleep(3600)


def churn(mib: int) -> Callable[[], None]:
    """Somebody who writes more memory than the domain has, over and over."""

    def work() -> None:
        area = mmap.mmap(-1, mib * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        while True:
            for at in range(0, len(area), mmap.PAGESIZE):
                area[at : at + 8] = os.urandom(8)

    return work


def meminfo(key: str) -> int:
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))


def vmstat(key: str) -> int:
    with open("/proc/vmstat") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key + " "))


def is_alive(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def order_for(domain: Domain, *variants: int) -> Order:
    return Order(domain.v2, limit_events=1, free_limit_pages=1 << 40, adj_floor=900, variants=variants)


def probe() -> None:
    for name, limited in (("memcg", True), ("system", False)):
        domain = Domain(f"probe-{name}", limited)
        for variant, number in VARIANTS.items():
            try:
                attached = load_apart(order_for(domain, number), CACHE, "")
            except BpfRefused as refusal:
                print(f"{name} {variant}: refused: {refusal}")
            else:
                print(f"{name} {variant}: loads" + "".join(f"; {note}" for note in attached.notes))
                for fd in (*attached[1:5], *attached.link_fds):
                    os.close(fd)


def compare() -> None:
    from lmkd_py.kernel.bpf import experiment, facts

    told = facts.resolve()
    print(json.dumps([experiment.find(), {word: told.words[word - facts.FIRST] for word in experiment.WORDS}]))


def limit() -> None:
    domain = Domain("", False)
    guard = Guard(load_apart(order_for(domain, VARIANTS["current"]), CACHE, ""))
    guard.arm(layout.KICK_ONLY)
    time.sleep(2)
    told = {"at rest, less free than the limit": guard.counters()}
    guard.set_word(layout.FREE_LIMIT_PAGES, 1)
    pressing = [start(domain, 0, churn(overcommitted_mib() // 2)) for _ in range(2)]
    # Nobody is struck, so we have to end it in time, or the board would thrash beyond the patience of its host.
    memory.mlockall(memory.MCL_CURRENT)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    end = time.monotonic() + 40
    while guard.counters().events < 50 and time.monotonic() < end:
        time.sleep(0.01)
    told["reclaiming, more free than the limit"] = guard.counters()
    guard.set_word(layout.FREE_LIMIT_PAGES, 1 << 40)
    while not guard.counters().kicks and time.monotonic() < end:
        time.sleep(0.01)
    told["reclaiming, less free than the limit"] = guard.counters()
    guard.disarm()
    for pid in pressing:
        os.kill(pid, signal.SIGKILL)
    print(json.dumps({case: [counters.events, counters.kicks] for case, counters in told.items()}))


def overcommitted_mib() -> int:
    """More than fits: RAM and half of the swap."""
    return (meminfo("MemTotal") + meminfo("SwapTotal") // 2) // 1024


def strike(where: str, variant: str) -> None:
    domain = Domain(f"strike-{variant}-{os.getpid()}", where == "memcg")
    attached = load_apart(order_for(domain, VARIANTS[variant]), CACHE, "")
    guard = Guard(attached)
    before = vmstat("oom_kill")
    mib = 40 if domain.v2 else overcommitted_mib() // 2  # more than the domain's limit
    resting = [start(domain, adj, rest) for adj in (950, 900, 0)]
    guard.publish([(pid, adj, read_stat(pid).start_ticks) for pid, adj in zip(resting[:2], (950, 900))])
    guard.arm(layout.STRIKE)
    pressing = [start(domain, adj, churn(mib)) for adj in (920, 0)]
    wanted = resting[:2] if variant != "current" else pressing[:1]
    end = time.monotonic() + PATIENCE_S
    while any(map(is_alive, wanted)) and time.monotonic() < end:
        time.sleep(0.05)
    strikes = guard.strikes(0)
    roles = ("rest950", "rest900", "rest0", "press920", "press0")
    names = dict(zip((*resting, *pressing), roles))
    told = {
        "struck": [names.get(entry.pid, "?") for entry in strikes],
        "start_times_agree": all(entry.start_ticks == read_stat(entry.pid).start_ticks for entry in strikes),
        "adjs": [entry.adj for entry in strikes],
        "alive": [name for pid, name in names.items() if is_alive(pid)],
        "counters": guard.counters()._asdict(),
        "free_pages": guard.words[layout.FREE_PAGES],
        "all_pages": meminfo("MemTotal") * 1024 // mmap.PAGESIZE,
        "oom_kill": vmstat("oom_kill") - before,
    }
    guard.disarm()
    print(json.dumps(told))
    for pid in names:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        probe()
    elif sys.argv[1] == "compare":
        compare()
    elif sys.argv[1] == "limit":
        limit()
    else:
        strike(*sys.argv[2:4])
