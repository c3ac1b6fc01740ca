"""One look at a device's memory: meminfo, stall, and how many processes stand in which tier."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .device import Device
from .scripts import script

_LOOK = """cat /proc/meminfo; echo =; cat /proc/pressure/memory 2>/dev/null; echo =
cat /proc/[0-9]*/oom_score_adj 2>/dev/null | sort -n | uniq -c; exit 0"""
_PSI = re.compile(r"(some|full) avg10=([0-9.]{1,8}) ")
_LIMIT = 1 << 18
_MAX_KB = 1 << 40


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen; what the device did not tell is missing."""

    kb: dict[str, int] = field(default_factory=dict)  # by /proc/meminfo's names
    stall_pct: dict[str, float] = field(default_factory=dict)  # some, full: of the last 10 s
    by_adj: dict[int, int] = field(default_factory=dict)  # processes by oom_score_adj


def look_at(device: Device) -> Look:
    """Ask the device."""
    said = device.ask(script(_LOOK), root=True, limit=_LIMIT).out.decode("utf-8", "replace")
    meminfo, _, rest = said.partition("\n=\n")
    pressure, _, adjs = rest.partition("=\n")
    look = Look()
    for line in meminfo.splitlines()[:200]:
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdecimal() and len(words[1]) < 14:
            look.kb[words[0]] = min(int(words[1]), _MAX_KB)
    for kind, percent in _PSI.findall(pressure[:1000]):
        look.stall_pct[kind] = float(percent) if percent.count(".") <= 1 and percent != "." else 0.0
    for line in adjs.splitlines()[:2100]:
        words = line.split()
        if len(words) == 2 and words[0].isdecimal() and re.fullmatch(r"-?[0-9]{1,4}", words[1]):
            look.by_adj[int(words[1])] = int(words[0][:9])
    return look
