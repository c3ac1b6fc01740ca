"""Applications and whole-system pressure on an emulated board, made and looked at through its shell."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import SandboxError
from ..scenario import APPS

CROWD = "lmkd_py.board.qemu.guest.crowd"
HOG_MIB_PER_S = 12
_SHARES = 48  # what one application takes of RAM and swap
Ask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Guest:
    """An application on the board."""

    name: str
    pid: int
    adj: int


class Stage:
    """`ask` runs a command on the board and returns what it prints."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        room_kb = self._meminfo("MemAvailable") + self._meminfo("SwapTotal")
        self.app_mib = max(3, room_kb // 1024 // _SHARES)
        self.hog_mib = room_kb // 512  # twice what there is: something has to give
        self.apps: tuple[Guest, ...] = ()

    def _meminfo(self, key: str) -> int:
        for line in self._ask("cat /proc/meminfo").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
        raise SandboxError(f"/proc/meminfo of the board has no {key}")

    def _start(self, *words: str) -> list[int]:
        said = self._ask(f"PYTHONPATH=/opt/lmkd python3 -m {CROWD} {' '.join(map(shlex.quote, words))}")
        return [int(line.split()[0]) for line in said.splitlines()]

    def populate(self) -> tuple[Guest, ...]:
        """The applications of the sandbox's demo, each with its memory."""
        pids = self._start(*(f"{name}:{adj}:{self.app_mib}" for name, adj in APPS))
        self.apps = tuple(Guest(name, pid, adj) for (name, adj), pid in zip(APPS, pids, strict=True))
        return self.apps

    def grow_hog(
        self, adj: int = 0, name: str = "game-0", mib_per_s: float = HOG_MIB_PER_S, spare_mib: int = 0
    ) -> Guest:
        """An application that grows until it dies, or, while less than `spare_mib` of swap is free, thrashes.

        The latter is a shortage that lasts: the kernel's OOM killer acts when there is no swap left.
        """
        (pid,) = self._start(f"{name}:{adj}:{self.hog_mib}:{mib_per_s:g}:{spare_mib}")
        return Guest(name, pid, adj)

    def living(self, guests: tuple[Guest, ...]) -> tuple[Guest, ...]:
        """Those that still run under their name; a zombie does not."""
        wanted = " ".join(f"/proc/{guest.pid}/stat" for guest in guests)
        said = self._ask(f"cat {wanted} 2>/dev/null; true")
        seen = {}
        for line in said.splitlines():
            pid, _, rest = line.partition(" (")
            name, _, state = rest.rpartition(") ")
            if not state.startswith(("Z", "X")):
                seen[int(pid)] = name
        return tuple(guest for guest in guests if seen.get(guest.pid) == guest.name[:15])

    def oom_kills(self) -> int:
        """Kills by the kernel's own OOM killer since boot."""
        return int(self._ask("grep '^oom_kill ' /proc/vmstat").split()[1])

    def psi_some_pct(self) -> float:
        """Share of the last 10 s in which some task stalled on memory."""
        words = self._ask("cat /proc/pressure/memory").split()
        return float(words[1].partition("=")[2])
