"""/proc/vmstat, and what carries part of it without allocating: files of the memory nodes, or zoneinfo."""

from __future__ import annotations

import os

from ....core.vocabulary import ABSENT
from .table import Row, Table
from .zoneinfo import Zoneinfo

_ZONEINFO = "zoneinfo"
_INDENT = b"      "  # of a node's counters there (zoneinfo_show_print in mm/vmstat.c)

# Linux 5.9 split workingset_refault into _anon and _file; older kernels have the one counter.
UNDIVIDED = "refault_undivided_pages"
REFAULTS = (
    Row(b"\nworkingset_refault ", UNDIVIDED),
    Row(b"\nworkingset_refault_anon ", "refault_anon_pages"),
    Row(b"\nworkingset_refault_file ", "workingset_refault_pages"),
)
FILE_LRU = (
    Row(b"\nnr_inactive_file ", "nr_inactive_file_pages", required=1),
    Row(b"\nnr_active_file ", "nr_active_file_pages", required=1),
)
RECLAIM = (
    Row(b"\npgscan_kswapd ", "kswapd_progress"),
    Row(b"\npgscan_direct ", "direct_progress"),
    Row(b"\npgrefill ", "refill_progress"),
)


def file_refault(undivided: int, of_files: int) -> int:
    """The counter lmkd takes: the undivided one if it is there and not 0, else the file one."""
    return undivided if undivided > 0 or of_files == ABSENT else of_files


def pin_nodes(table: Table, paths: list[str], rows: tuple[Row, ...]) -> None:
    """Start-up. Pin node_paths(): what /proc/vmstat has without its kmalloc, but no pgscan and no pgrefill.

    /proc/vmstat costs one kmalloc a read (the kernel copies all its counters).
    """
    if paths and os.path.basename(paths[0]) == _ZONEINFO:
        rows = tuple(row._replace(key=b"\n" + _INDENT + row.key[1:]) for row in rows)
    table.pin_all(paths, rows)


def node_paths(root: str) -> list[str]:
    """The vmstat files of all nodes with memory, node 0 first: the others have nothing to reclaim and no kswapd. On
    kernels without NUMA, like Android's, /proc/zoneinfo: it has the counters of the only node, too (Linux 4.8); empty
    where it has not."""
    base = os.path.join(root, "sys/devices/system/node")
    try:
        names = [name for name in os.listdir(base) if name.startswith("node") and name[4:].isdigit()]
    except OSError:
        names = []
    numbers = sorted(int(name[4:]) for name in names)
    populated = _numbers_in(os.path.join(base, "has_memory")) or _populated(os.path.join(root, "proc", _ZONEINFO))
    chosen = [number for number in numbers if number in populated] or numbers
    paths = [os.path.join(base, f"node{number}", "vmstat") for number in chosen]
    return [path for path in paths if os.path.exists(path)] or _only_node(os.path.join(root, "proc", _ZONEINFO))


def _numbers_in(path: str) -> set[int]:
    # A kernel list, "0-1,4"; empty where there is none.
    found: set[int] = set()
    try:
        with open(path, "rb") as file:
            parts = file.read().strip().split(b",")
        for part in parts:
            first, _, last = part.partition(b"-")
            found.update(range(int(first), min(int(last or first), 4096) + 1))
    except (OSError, ValueError):
        return set()
    return found


def _populated(zoneinfo: str) -> set[int]:
    # Where has_memory cannot be read.
    try:
        reader = Zoneinfo(zoneinfo)
    except (OSError, ValueError):
        return set()
    found = {zone.node for zone in reader.zones() if zone.present}
    reader.file.close()
    return found


def _only_node(zoneinfo: str) -> list[str]:
    try:
        with open(zoneinfo, "rb") as file:
            text = b"\n" + file.read()
    except OSError:
        return []
    # More nodes in sight than in /sys: then the first alone would pass for all of them.
    is_only = text.count(b"\nNode ") == text.count(b"\nNode 0,")
    return [zoneinfo] if is_only and b"\n" + _INDENT + b"workingset_refault" in text else []
