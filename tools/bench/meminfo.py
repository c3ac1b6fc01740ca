"""A /proc/meminfo of our own making, for killers that look at nothing else."""

from __future__ import annotations

import os

TOTAL_KB = 24 * 1024 * 1024
PLENTY_PCT, NEAR_PCT, SHORT_PCT = 66, 12, 1
_OURS = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree", "SwapCached")


def meminfo(available_pct: int, template: str) -> bytes:
    """The machine's own meminfo as one of 24 GiB without swap, of which `available_pct` percent can be had.

    Every state has the same length, so that one pwrite() is the whole step.
    """
    available = TOTAL_KB * available_pct // 100
    values = {"MemTotal": TOTAL_KB, "MemFree": available // 2, "MemAvailable": available, "Cached": available // 2}
    lines = []
    for line in template.splitlines():
        name, _, _ = line.partition(":")
        lines.append(f"{name + ':':<16}{values.get(name, 0):>8} kB" if name in _OURS else line)
    return "".join(line + "\n" for line in lines).encode()


class Meminfo:
    """The file behind a bind mount; set() is the step."""

    def __init__(self, path: str) -> None:
        with open("/proc/meminfo") as stream:
            self._template = stream.read()
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.set(PLENTY_PCT)

    def set(self, available_pct: int) -> None:
        """Make the file say that this much memory is available."""
        os.pwrite(self._fd, meminfo(available_pct, self._template), 0)

    def close(self) -> None:
        os.close(self._fd)
