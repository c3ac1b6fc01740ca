"""/proc/vmstat, and what carries part of it without allocating: files of the memory nodes, or zoneinfo."""

from __future__ import annotations

import os

from ...core.vocabulary import ABSENT
from .counters import Counters

# Linux 5.9 split workingset_refault into _anon and _file; older kernels have the one counter.
_LRU_KEYS = (b"nr_inactive_file", b"nr_active_file", b"workingset_refault", b"workingset_refault_file")
_RECLAIM_KEYS = (b"pgscan_kswapd", b"pgscan_direct", b"pgrefill")
_ZONEINFO = "zoneinfo"
_INDENT = b"      "  # of a node's counters there (zoneinfo_show_print in mm/vmstat.c)


def file_refault(refault: int, refault_file: int) -> int:
    """The counter lmkd takes: the undivided one if it is there and not 0, else the file one."""
    return refault if refault > 0 else refault_file if refault_file != ABSENT else refault


class Vmstat:
    """/proc/vmstat. Each read costs one kmalloc in the kernel (it copies all counters), 0 for every other file here.

    `values`: nr_inactive_file_pages, nr_active_file_pages, workingset_refault_pages, pgscan_kswapd_pages,
    pgscan_direct_pages, pgrefill_pages, in Snapshot's order.
    """

    __slots__ = ("counters", "values")

    def __init__(self, path: str) -> None:
        required = (b"nr_inactive_file", b"nr_active_file")
        self.counters = Counters(path, _LRU_KEYS + _RECLAIM_KEYS, required)
        self.values: list[int] = []
        self._order()

    def _order(self) -> None:
        inactive, active, refault, refault_file, kswapd, direct, refill = self.counters.values
        self.values = [inactive, active, file_refault(refault, refault_file), kswapd, direct, refill]

    def read(self) -> int:
        """Fresh `values`; bytes read or a negative errno."""
        got = self.counters.read()
        self._order()
        return got


class NodeLru:
    """File LRU and refaults summed over all memory nodes: what Vmstat has without its kmalloc, but no pgscan.

    Takes node_paths(); ValueError naming file and key where one does not tell of the lists.
    """

    __slots__ = ("nodes",)

    def __init__(self, paths: list[str]) -> None:
        self.nodes = [_node(path, _LRU_KEYS, 2) for path in paths]

    def read(self) -> tuple[int, int, int]:
        """nr_inactive_file_pages, nr_active_file_pages, workingset_refault_pages; ABSENT as Vmstat's."""
        inactive = active = refaults = 0
        for node in self.nodes:
            if node.read() < 0:
                return ABSENT, ABSENT, ABSENT
            node_inactive, node_active, refault, refault_file = node.values
            inactive += node_inactive
            active += node_active
            pages = file_refault(refault, refault_file)
            refaults = refaults + pages if pages >= 0 and refaults >= 0 else ABSENT
        return inactive, active, refaults


class NodeVmstat:
    """Refaults summed over all memory nodes; has no pgscan and no pgrefill, but allocates nothing."""

    __slots__ = ("nodes",)

    def __init__(self, paths: list[str]) -> None:
        self.nodes = [_node(path, (b"workingset_refault", b"workingset_refault_file")) for path in paths]

    def refault_pages(self) -> int:
        """File refaults of the whole host now; ABSENT where the kernel does not count them or a node went away."""
        total = 0
        for node in self.nodes:
            if node.read() < 0:
                return ABSENT
            pages = file_refault(node.values[0], node.values[1])
            if pages < 0:
                return ABSENT
            total += pages
        return total


def _node(path: str, keys: tuple[bytes, ...], required: int = 0) -> Counters:
    # required: how many of the first keys there have to be.
    if os.path.basename(path) == _ZONEINFO:
        keys = tuple(_INDENT + key for key in keys)
    return Counters(path, keys, keys[:required])


def node_paths(root: str) -> list[str]:
    """The vmstat files of all nodes, node 0 first. On kernels without NUMA, like Android's, /proc/zoneinfo: it has the
    counters of the only node, too (Linux 4.8); empty where it has not."""
    base = os.path.join(root, "sys/devices/system/node")
    try:
        names = [name for name in os.listdir(base) if name.startswith("node") and name[4:].isdigit()]
    except FileNotFoundError:
        names = []
    paths = [os.path.join(base, name, "vmstat") for name in sorted(names, key=lambda name: int(name[4:]))]
    return [path for path in paths if os.path.exists(path)] or _only_node(os.path.join(root, "proc", _ZONEINFO))


def _only_node(zoneinfo: str) -> list[str]:
    try:
        with open(zoneinfo, "rb") as file:
            text = b"\n" + file.read()
    except FileNotFoundError:
        return []
    # More nodes in sight than in /sys: then the first alone would pass for all of them.
    is_only = text.count(b"\nNode ") == text.count(b"\nNode 0,")
    return [zoneinfo] if is_only and b"\n" + _INDENT + b"workingset_refault" in text else []
