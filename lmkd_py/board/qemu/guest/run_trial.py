"""One trial of a low-memory killer inside a board: `python3 -m lmkd_py.board.qemu.guest.run_trial ORDER-IN-JSON`.

What came of it is written as JSON to `out`. The order: `workload` (a name in workloads/catalog.py), `seed`, `killer` (a
command line, or none when it runs already), `marker` (a word of the killer's command lines), `register` (see Register),
`apps` ([name, adj] each), `room_mib` (what the board had for applications after its boot), `limit_s`, `out`, and
`cgroup` (a cgroup v2 directory in which each application gets one of its own, or none).
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from typing import Any

from ...workloads.catalog import WORKLOADS
from .cast import wrong
from .readings import SETTLE_S, cost, marked, memory_kb, settled, stalled_us, vmstat
from .trial import Trial


def empty_swap() -> None:
    """As after boot: nothing in zram, nothing cached."""
    with open("/proc/swaps") as file:
        devices = [line.split()[0] for line in file.readlines()[1:]]
    for device in devices:
        subprocess.run(["swapoff", device], check=True)
        subprocess.run(["swapon", device], check=True)
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def open_cgroup(cgroup: str) -> None:
    """Let those below have memory of their own, as a slice's units have."""
    with open(f"{cgroup}/cgroup.subtree_control", "w") as file:
        file.write("+memory")


def costs_of(name: str, before: list[dict[str, int]], after: list[dict[str, int]]) -> list[int]:
    """What each of the processes has cost meanwhile, in the order of their pids; of one that died 0."""
    return [max(0, then[name] - once[name]) for once, then in zip(before, after, strict=True)]


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Everything that was started is gone then."""
    workload = WORKLOADS[order["workload"]]
    empty_swap()
    killer = subprocess.Popen(order["killer"], stdout=sys.stderr) if order["killer"] else None
    time.sleep(SETTLE_S)
    pids = settled(order["marker"]) if order["marker"] else []
    size = memory_kb(pids)
    if order["cgroup"]:
        open_cgroup(order["cgroup"])
    trial = Trial(order)
    costs, counts, stalls = [cost([pid]) for pid in pids], vmstat(), stalled_us()
    progress = workload.perform(trial)
    wall_s = trial.now_s
    after, counted, stalled = [cost([pid]) for pid in pids], vmstat(), stalled_us()
    still = marked(order["marker"]) if order["marker"] else []
    found = {
        "deaths": trial.deaths(),
        "wrong": wrong(trial.actors, workload.culprits),
        "living": [(actor.name, actor.adj) for actor in trial.actors if not actor.death_s],
        **progress._asdict(),
        "wall_s": wall_s,
        **{name: getattr(trial, name) for name in ("short_s", "last_stall_s", "highest_stall")},
        "some_s": (stalled[0] - stalls[0]) / 1e6,
        "full_s": (stalled[1] - stalls[1]) / 1e6,
        **{name: counted[name] - counts[name] for name in counts},
        "killer_runs": still == pids,
        **{name: sum(costs_of(name, costs, after)) for name in ("major_faults", "cpu_ms")},
        "cpu_ms_each": costs_of("cpu_ms", costs, after),
        **size,
    }
    trial.close()
    if killer is not None:
        killer.terminate()
        killer.wait()
    return found


def main() -> None:
    """The program: nobody's victim, and never waiting for memory of its own."""
    order = json.loads(sys.argv[1])
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    ctypes.CDLL(None).mlockall(1)  # what there is now: children do not inherit it
    found = carry_out(order)
    with open(order["out"] + ".new", "w") as file:
        json.dump(found, file)
    os.replace(order["out"] + ".new", order["out"])


if __name__ == "__main__":
    main()
