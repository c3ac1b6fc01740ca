"""Resident and proportional memory of each killer, with no other Python on the machine: not even this one.

`hand_over` replaces the bench by memory.sh, which measures and starts the bench again; `read` then reads what it found.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple, NoReturn

from tools.bench.packages import Peer

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "memory.sh")


class Memory(NamedTuple):
    """Memory of one killer, summed over its processes."""

    label: str
    processes: int
    rss_kb: int
    pss_kb: int
    locked_kb: int
    slab_kb: int  # growth of the machine's slab since before it was started
    pythons: int  # Python processes of others that ran meanwhile; Pss is shared with them


def hand_over(
    out: str, name: str, crowd: str, meminfo: str, daemon: list[str], peers: dict[str, Peer], then: list[str]
) -> NoReturn:
    """Does not return; `then` is the command the script ends with. `name` is that of the cgroup it makes."""
    commands = [daemon, *(list(peers[peer].command) if peer in peers else [] for peer in ("earlyoom", "nohang"))]
    arguments = [word for command in commands for word in (*command, "--")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    sys.stdout.flush()
    os.execve("/bin/sh", ["sh", SCRIPT, out, name, crowd, meminfo, *arguments, *then], environment)


def read(out: str) -> list[Memory]:
    """What the script wrote. ValueError for a line that is not whole."""
    found = []
    with open(out) as stream:
        for line in stream:
            label, *numbers = line.split()
            if len(numbers) != len(Memory._fields) - 1:
                raise ValueError(f"{out}: found {line.strip()!r}, wanted {' '.join(Memory._fields)}")
            found.append(Memory(label, *map(int, numbers)))
    return found
