"""Debian's oomd in a box: over its cgroup file system lies a directory of ours with one cgroup, whose PSI we write.

It kills what the cgroup's cgroup.procs lists, again and again while it is listed, so that file is emptied after a kill.
"""

from __future__ import annotations

import json
import os

from lmkd_py.kernel.sensing.mounts import cgroup_v2_root
from tools.bench.packages import Peer
from tools.bench.peers import VICTIM, Box, descendants
from tools.bench.programs import MissingToolError

THRESHOLD_PCT = 50
GROUP = "victims"
_CONFIG = {
    "rulesets": [
        {
            "name": "bench",
            "detectors": [
                [
                    "pressure",
                    {
                        "name": "pressure_above",
                        "args": {
                            "cgroup": GROUP,
                            "resource": "memory",
                            "threshold": str(THRESHOLD_PCT),
                            "duration": "0",
                        },
                    },
                ]
            ],
            "actions": [{"name": "kill_by_memory_size_or_growth", "args": {"cgroup": GROUP}}],
            "post_action_delay": "0",
        }
    ]
}
_FILES = {
    "cgroup.controllers": "cpu io memory pids\n",
    "cgroup.subtree_control": "cpu io memory pids\n",
    "cgroup.procs": "",
    "cgroup.stat": "nr_descendants 0\nnr_dying_descendants 0\n",
    "cgroup.events": "populated 1\nfrozen 0\n",
    "io.stat": "",
    "memory.current": "8388608\n",
    "memory.swap.current": "0\n",
    "memory.min": "0\n",
    "memory.low": "0\n",
    "memory.oom.group": "0\n",
    **{f"memory.{name}": "max\n" for name in ("high", "max", "swap.max", "high.tmp")},
    "memory.stat": "".join(
        f"{name} {8388608 if name in ('anon', 'inactive_anon') else 0}\n"
        for name in (
            *("anon", "file", "kernel_stack", "slab", "sock", "anon_thp", "pgscan"),
            *("active_anon", "inactive_anon", "active_file", "inactive_file"),
        )
    ),
}


def pressure(pct: int) -> str:
    """A pressure file, always of the same length."""
    averages = " ".join(f"avg{seconds}={pct:05.2f}" for seconds in (10, 60, 300))
    return "".join(f"{kind} {averages} total=1000000\n" for kind in ("some", "full"))


class OomdBox(Box):
    """A Box whose step is pressure in the cgroup. MissingToolError without a cgroup2 file system to lay ours over."""

    def __init__(self, peer: Peer, crowd: str, directory: str) -> None:
        point = cgroup_v2_root()
        if not point:
            raise MissingToolError("oomd: not measured: no cgroup2 file system is mounted here")
        self.tree = os.path.join(directory, "oomd-tree")
        for place in (self.tree, os.path.join(self.tree, GROUP)):
            os.mkdir(place)
            for name, text in _FILES.items():
                self._write(os.path.join(place, name), text)
            for name in ("memory", "io", "cpu"):
                self._write(os.path.join(place, f"{name}.pressure"), pressure(0))
        config = os.path.join(directory, "oomd.json")
        self._write(config, json.dumps(_CONFIG))
        run = os.path.join(directory, "oomd-run")
        os.mkdir(run)
        log = os.path.join(directory, "oomd-kills")
        words = ("-C", config, "-i", "1", "-f", point, "-D", run, "--kmsg-override", log)
        super().__init__(peer._replace(command=(*peer.command, *words)), crowd, directory, over=(self.tree, point))

    @staticmethod
    def _write(path: str, text: str) -> None:
        with open(path, "w") as file:
            file.write(text)

    def near(self, from_pct: int) -> None:
        """See Box: no pressure, and nobody to kill."""
        self._write(os.path.join(self.tree, GROUP, "cgroup.procs"), "")
        self._set(0)

    def short(self) -> None:
        """See Box: the victim of the hour, then the pressure."""
        self._write(os.path.join(self.tree, GROUP, "cgroup.procs"), f"{self._victim()}\n")
        self._set(2 * THRESHOLD_PCT - 1)

    def _set(self, pct: int) -> None:
        fd = os.open(os.path.join(self.tree, GROUP, "memory.pressure"), os.O_WRONLY)
        os.pwrite(fd, pressure(pct).encode(), 0)
        os.close(fd)

    def _victim(self) -> int:
        # Its number as the box has it: the last of NSpid.
        for pid in descendants(self._process.pid):
            try:
                with open(f"/proc/{pid}/status") as file:
                    lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            except OSError:
                continue
            if lines["Name"] == VICTIM:
                return int(lines["NSpid"].split()[-1])
        raise RuntimeError("the victim in oomd's box is gone")
