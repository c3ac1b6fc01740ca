"""What a process costs, sampled over a long run, and whether it stays what it was."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Footprint(NamedTuple):
    """Of one process, but for the slab: that is the whole machine's, unreclaimable."""

    rss_kb: int
    pss_kb: int
    slab_kb: int


def footprint(pid: int) -> Footprint:
    rollup = _fields(f"/proc/{pid}/smaps_rollup")
    return Footprint(rollup["Rss"], rollup["Pss"], _fields("/proc/meminfo")["SUnreclaim"])


def growth(samples: list[Footprint]) -> Footprint:
    """Least of the last quarter less the least of the second: peaks come and go, what is kept stays."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    return Footprint(*(min(end) - min(begin) for begin, end in zip(zip(*early), zip(*late))))


def _fields(path: str) -> dict[str, int]:
    words = (line.split() for line in Path(path).read_text().splitlines())
    return {each[0].rstrip(":"): int(each[1]) for each in words if len(each) == 3 and each[2] == "kB"}
