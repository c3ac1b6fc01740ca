"""One look at the memory a device's daemon guards: sizes, stall, and how many processes stand in which tier."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..core.config import DomainKind, MonitorConfig
from .device import Device
from .scripts import script

_LOOK = """cat /proc/meminfo; echo =; cat /proc/pressure/memory 2>/dev/null; echo =
cat /proc/[0-9]*/oom_score_adj 2>/dev/null | sort -n | uniq -c; exit 0"""
# The same of a memory cgroup: $1 its directory, $2 where its memory.pressure is. Members may be of cgroups below it.
_LOOK_CGROUP = """cd "$1" || exit 1
sed -n 's/^MemTotal:/ram/p' /proc/meminfo
for f in memory.limit_in_bytes memory.max memory.usage_in_bytes memory.current memory.swap.max memory.swap.current; do
[ -f $f ] && { read -r v <$f; echo "$f $v"; }; done
sed -n 's/^total_\\(in\\)*active_file /file /p; s/^\\(in\\)*active_file /own /p' memory.stat; echo =
cat "$2/memory.pressure" 2>/dev/null; echo =
find . -name cgroup.procs -exec cat {} + | while read -r p; do cat "/proc/$p/oom_score_adj"; done 2>/dev/null |
sort -n | uniq -c
exit 0"""
_PSI = re.compile(r"(some|full) avg10=([0-9.]{1,8}) ")
_LIMIT = 1 << 18
_MAX_KB = 1 << 40


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen; what the device did not tell is missing."""

    where: str = ""  # directory of the memory cgroup; empty for the whole system
    kb: dict[str, int] = field(default_factory=dict)  # by /proc/meminfo's names
    stall_pct: dict[str, float] = field(default_factory=dict)  # some, full: of the last 10 s
    by_adj: dict[int, int] = field(default_factory=dict)  # processes by oom_score_adj


def look_at(device: Device, monitor: MonitorConfig) -> Look:
    """Ask the device for the memory that this config guards."""
    is_cgroup = monitor.domain.kind in (DomainKind.MEMCG_V1, DomainKind.CGROUP_V2)
    where = monitor.domain.path if is_cgroup else ""
    words = script(_LOOK_CGROUP, where, monitor.domain.psi_path or where) if where else script(_LOOK)
    said = device.ask(words, root=True, limit=_LIMIT).out.decode("utf-8", "replace")
    sizes, _, rest = said.partition("\n=\n")
    pressure, _, adjs = rest.partition("=\n")
    look = Look(where, _cgroup_kb(sizes) if where else _meminfo_kb(sizes))
    for kind, percent in _PSI.findall(pressure[:1000]):
        look.stall_pct[kind] = float(percent) if percent.count(".") <= 1 and percent != "." else 0.0
    for line in adjs.splitlines()[:2100]:
        words = line.split()
        if len(words) == 2 and words[0].isdecimal() and re.fullmatch(r"-?[0-9]{1,4}", words[1]):
            look.by_adj[int(words[1])] = int(words[0][:9])
    return look


def _meminfo_kb(text: str) -> dict[str, int]:
    found = {}
    for line in text.splitlines()[:200]:
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdecimal() and len(words[1]) < 14:
            found[words[0]] = min(int(words[1]), _MAX_KB)
    return found


def _cgroup_kb(text: str) -> dict[str, int]:
    """A memory cgroup in /proc/meminfo's words: what it may still take, and the page cache it would give back."""
    said: dict[str, int] = {}
    for line in text.splitlines()[:200]:
        words = line.split()
        if len(words) >= 2 and words[1].isdecimal() and len(words[1]) < 20:
            said[words[0]] = said.get(words[0], 0) + int(words[1])
    ram_kb = said.get("ram", 0)
    limits = [said[name] >> 10 for name in ("memory.limit_in_bytes", "memory.max") if name in said]
    total_kb = min([ram_kb, *limits]) if ram_kb else min(limits, default=0)
    used_kb = said.get("memory.usage_in_bytes", said.get("memory.current", 0)) >> 10
    free_kb = max(0, total_kb - used_kb)
    file_kb = said.get("file", said.get("own", 0)) >> 10
    found = {"MemTotal": total_kb, "MemFree": free_kb, "MemAvailable": min(total_kb, free_kb + file_kb)}
    if said.get("memory.swap.max"):
        swap_kb = said["memory.swap.max"] >> 10
        found["SwapTotal"], found["SwapFree"] = swap_kb, max(0, swap_kb - (said.get("memory.swap.current", 0) >> 10))
    return found
